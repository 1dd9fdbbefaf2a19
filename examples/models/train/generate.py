"""Writes sample annotations as people type them, each with the record it states.

Owns: how facts are drawn, how they are put into words (lists, key-value pairs, compact sample names, sentences), the noise
around them (identifiers, replicates, treatments, time points, instruments, typing errors), and the rules of what counts as
stated. Everything follows from a seed. The rules, which the model card repeats:

- A field is null unless the text states it. An organism is also implied by a strain or a cell line, and a human by a person
  word (pt, patient, donor, man, woman, boy, girl) or by a clinical age (54yo, 54-year-old, 54F) where no other organism stands.
  An age in plain years ("54 years"), a tissue, a disease or a sex word implies no organism.
- Untreated, vehicle, mock and wild type are treatments and genotypes: they do not make a sample healthy. Healthy, normal,
  control, unaffected do.
- An organ that is only part of a disease's name ("breast cancer") is no tissue. Cells sorted from an organ: the cells.
- A named disease outranks "tumor" (neoplasm), and "adjacent normal" outranks the disease it is adjacent to.
- An age is the age of the organism. Time points, treatment times, days in culture, follow-up are not. An age without a unit has
  age_unit null. Digits are copied, nothing is converted.

Use: python generate.py --seed 20261 --n 1000 > heldout.jsonl
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import vocab as v

HELDOUT_SEED, HELDOUT_N = 20261, 1000
HUMAN, MOUSE, RAT = "Homo sapiens", "Mus musculus", "Rattus norvegicus"
FISH, FLY, WORM = "Danio rerio", "Drosophila melanogaster", "Caenorhabditis elegans"
PLANTS = ("Arabidopsis thaliana", "Oryza sativa", "Zea mays")
MICROBES = ("Saccharomyces cerevisiae", "Schizosaccharomyces pombe", "Escherichia coli", "Bacillus subtilis",
            "Staphylococcus aureus", "Pseudomonas aeruginosa", "Plasmodium falciparum")
WEIGHT = {HUMAN: 46, MOUSE: 22, RAT: 5, FISH: 4, FLY: 3.5, WORM: 3, "Arabidopsis thaliana": 3, "Saccharomyces cerevisiae": 2.5,
          "Escherichia coli": 2, "Sus scrofa": 2, "Macaca mulatta": 2, "Canis lupus familiaris": 2}
NUMBER_WORDS = "one two three four five six seven eight nine ten eleven twelve".split()

Number = int | float


@dataclass
class Facts:
    """What an annotation is to state, and how the organism is to be shown."""

    organism: str | None = None
    tissue: str | None = None
    disease: str | None = None
    sex: str | None = None
    age: Number | None = None
    age_unit: str | None = None
    assay: str | None = None
    kind: str = ""  # the organism drawn, stated or not
    words: dict[str, str] = field(default_factory=dict)  # the spelling chosen for organism, strain, tissue, disease, assay

    def free_to_imply_human(self) -> bool:
        """Whether a word that implies a human may be used: it would be true, or another organism is stated anyway."""
        return self.kind == HUMAN

    def record(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in v.FIELDS}


def pick(rng: random.Random, spellings: str) -> str:
    return rng.choice(v.split(spellings))


# ---------------------------------------------------------------------------------------------------------------- facts


def draw_organism(rng: random.Random) -> str:
    names = list(v.ORGANISM)
    return rng.choices(names, [WEIGHT.get(name, 0.8) for name in names])[0]


def draw_tissue(rng: random.Random, kind: str, f: Facts) -> None:
    """A tissue that this kind of organism may have; now and then any other, so that nothing is learned by association."""
    if kind in PLANTS:
        tables = [v.PLANT]
    elif kind in MICROBES:
        tables = [v.CELL] if rng.random() < 0.15 else []
    elif kind in (FLY, WORM, FISH):
        tables = [v.SMALL_ANIMAL, v.SMALL_ANIMAL, v.VERTEBRATE]
    else:
        tables = [v.ORGAN, v.CELL] if rng.random() < 0.97 else [v.SMALL_ANIMAL, v.PLANT]
    if not tables:
        return
    table = rng.choice(tables)
    f.tissue = rng.choice(list(table))
    word = pick(rng, table[f.tissue])
    if table is v.ORGAN and rng.random() < 0.3:
        word = clean_join(word, rng.choice(("tissue", "biopsy", "bx", "resection", "section", "punch biopsy", "explant", "specimen",
                                            "sample", "biopsies", "homogenate", "samples", "needle biopsy", "tiss.")))
    elif table is v.CELL and f.tissue.endswith("cell") and rng.random() < 0.12:
        organ = pick(rng, v.ORGAN[rng.choice(("spleen", "thymus", "lymph node", "liver", "lung", "bone marrow", "colon", "kidney"))])
        word += rng.choice((" from ", " sorted from ", " isolated from ", " (", " FACS-sorted from ")) + organ
        word += ")" if "(" in word else ""
    if rng.random() < 0.08:
        word = rng.choice(("FFPE ", "frozen ", "snap-frozen ", "fresh ", "FF ", "left ", "right ", "primary ", "cultured ",
                           "fetal ", "adult ", "perfused ", "distal ", "sorted ", "embryonic ", "dissociated ")) + word
    f.words["tissue"] = word


def clean_join(word: str, suffix: str) -> str:
    """`liver tissue`, and not `liver tissue tissue`."""
    return word if suffix.split()[0][:4] in word else f"{word} {suffix}"


def draw_disease(rng: random.Random, f: Facts) -> None:
    x = rng.random()
    if x < 0.24:
        f.disease = v.HEALTHY
        word = pick(rng, v.HEALTHY_WORDS)
        if f.kind == HUMAN and rng.random() < 0.25:
            word = pick(rng, v.HEALTHY_HUMAN)
            if "donor" in word or "volunteer" in word:
                f.organism = HUMAN
        if "subject" in word or "individual" in word:
            word = word.replace("subject", "control").replace("individual", "control")
    elif x < 0.30:
        f.disease, word = v.NEOPLASM, pick(rng, v.NEOPLASM_WORDS)
    elif x < 0.34:
        f.disease, word = v.ADJACENT, pick(rng, v.ADJACENT_WORDS)
        if rng.random() < 0.4:
            word = f"{pick(rng, v.CANCER[rng.choice(list(v.CANCER))])} {word}"
    else:
        table = v.CANCER if rng.random() < 0.45 else v.DISEASE
        f.disease = rng.choice(list(table))
        word = pick(rng, table[f.disease])
        y = rng.random()
        if table is v.CANCER and y < 0.16:
            word += rng.choice((" tumor", " primary tumor", " tumour", " biopsy", " met", " metastasis", " stage III", " stage II",
                                " grade 2", " (stage IV)", " relapse", " at diagnosis", " G3", " resection"))
        elif y < 0.08:
            word += rng.choice((" (early)", ", advanced", " - treated", " stage 2", " mild", " chronic", " cohort", " case", " flare"))
        elif y < 0.13 and f.kind != HUMAN:
            word = f"{word} model"
        elif y < 0.18 and f.kind == HUMAN:
            word += rng.choice((" patient", " pt", " patients", " pts"))
            f.organism = HUMAN
    f.words["disease"] = word


def draw_age(rng: random.Random, kind: str) -> tuple[Number, str]:
    def part(n: int, share: float = 0.08) -> Number:
        return float(f"{n}.{rng.choice((5, 5, 5, rng.randint(1, 9)))}") if rng.random() < share else n

    year, month, week = ("year", lambda hi: part(rng.randint(1, hi), 0.03)), "month", "week"
    if rng.random() < 0.06:
        kind = rng.choice((HUMAN, MOUSE, FISH, "Sus scrofa"))
    x = rng.random()
    if kind == HUMAN:
        if x < 0.86:
            return year[1](rng.choice((18, 95, 95, 95, 99, 104))), "year"
        if x < 0.92:
            return part(rng.randint(1, 30)), month
        if x < 0.94:
            return rng.randint(1, 28), "day"
        if x < 0.97:
            return part(rng.randint(5, 41), 0.1), "gestational week"
        return rng.randint(4, 24), "post-conception week"
    if kind in (MOUSE, RAT):
        if x < 0.42:
            return part(rng.randint(2, rng.choice((16, 30, 104)))), week
        if x < 0.66:
            return part(rng.randint(1, 30)), month
        if x < 0.83:
            return rng.randint(0, 63), "day"
        return rng.choice((float(f"{rng.randint(6, 19)}.5"), float(f"{rng.randint(6, 19)}.5"), rng.randint(8, 21), 9.75)), "embryonic day"
    if kind in (FISH, "Xenopus laevis"):
        return ((part(rng.randint(1, 40), 0.1), "dpf") if x < 0.5 else (rng.randint(4, 144), "hpf") if x < 0.8
                else (part(rng.randint(2, 30)), month))
    if kind in (FLY, WORM, *MICROBES):
        return (rng.randint(1, 60), "day") if x < 0.75 else (rng.randint(2, 72), "hour")
    if kind in PLANTS:
        return (rng.randint(3, 60), "day") if x < 0.7 else (rng.randint(1, 12), week)
    if kind == "Gallus gallus" and x < 0.4:
        return rng.randint(2, 20), "embryonic day"
    return ((year[1](28), "year") if x < 0.45 else (part(rng.randint(1, 36)), month) if x < 0.75
            else (part(rng.randint(1, 40)), week) if x < 0.92 else (rng.randint(1, 90), "day"))


PLAIN_AGE = {
    "year": "{} years|{} yrs|{} yr|{}y|{} y|{}yrs|age {} years|aged {} yrs|age {}y|{}yr|{} years of age|age: {} yrs|{}Y",
    "month": "{} months|{} mo|{}mo|{} mos|{} mths|{}-month-old|{} months old|{} mo old|{}mo old|{} months of age|age {} months|{}mos|"
             "aged {} mo|{} mon|{}MO|{} month|age {} mo|{} m.o.|{} month old",
    "week": "{} weeks|{} wks|{} wk|{}wk|{}w|{} w|{}wks|{}-week-old|{} weeks old|{}wo|{} w.o.|{} wk old|{} weeks of age|aged {} weeks|"
            "age {} wks|age {} weeks|{}wk old|{}-wk-old|{} week old|{}W|{} week",
    "day": "{} days old|{}-day-old|{}d old|{} day old|{} d old|age {} days|{} days of age|{}-d-old|aged {} days",
    "hour": "{} h old|{}-hour-old|{}h old|{} hours old|{} hrs old|age {} h|{}-h-old",
    "embryonic day": "E{0}|E{0}|E{0}|E{0}|E {0}|embryonic day {0}|ED{0}|{0} dpc|{0}dpc|e{0}|E{0} stage|ED {0}|embryonic day E{0}",
    "dpf": "{} dpf|{}dpf|{} days post-fertilization|{} days post fertilisation|{} dpf larvae|{} days post fertilization|{}DPF",
    "hpf": "{} hpf|{}hpf|{} hours post-fertilization|{} hours post fertilisation|{} h post fertilization|{}HPF",
    "gestational week": "GW{0}|GW {0}|{0} GW|gestational week {0}|{0} weeks gestation|{0} gestational weeks|{0} wks gestation|"
                        "gestational age {0} weeks|GA {0} wk|{0} weeks of gestation|{0}wk gestation",
    "post-conception week": "{0} pcw|{0}pcw|PCW{0}|{0} weeks post-conception|{0} post-conception weeks|PCW {0}|{0} PCW",
}
POSTNATAL = "P{0}|P{0}|P{0}|PND{0}|PND {0}|postnatal day {0}|PN{0}|P{0} pups|PD{0}|post-natal day {0}"
DAY_OF = {FLY: "{} days post-eclosion|{}d post eclosion|{} days after eclosion|{} day old adults",
          WORM: "day {} adult|day {} adults|D{} adult|adult day {}|day-{} adults"}
PLANT_DAY = "{} DAG|{} days after germination|{} DAS|{} dag|{} days after sowing"
PERSON_YEAR = "{0}yo|{0} yo|{0} y.o.|{0}y.o.|{0} y/o|{0}y/o|{0}-year-old|{0} year old|{0} years old|{0} yrs old|{0}YO|{0} yr old|" \
              "{0}-yr-old|{0} y.o|{0}-years-old|{0} y old"


def age_text(rng: random.Random, f: Facts, adjective: bool = False) -> str:
    """The age in words; sets the organism where the wording implies a human."""
    n: object = f.age
    unit = f.age_unit
    forms = PLAIN_AGE[unit]
    if unit == "day":
        if f.kind in PLANTS and rng.random() < 0.5:
            forms = PLANT_DAY
        elif f.kind in DAY_OF and rng.random() < 0.5:
            forms = DAY_OF[f.kind]
        elif f.kind in (MOUSE, RAT) and rng.random() < 0.75:
            forms = POSTNATAL
        elif f.kind == HUMAN and rng.random() < 0.1:
            forms = POSTNATAL.replace(" pups", "")
    if unit == "hour" and f.kind == FLY and rng.random() < 0.5:
        forms = "{} h AEL|{}h after egg laying|{} hrs AEL|{}h AEL"
    if unit == "year" and (f.kind == HUMAN or f.organism is not None) and rng.random() < 0.6:
        forms = PERSON_YEAR
        f.organism = f.organism or HUMAN
    if adjective:
        forms = "|".join(form for form in v.split(forms) if re.search(r"old|wo\b|yo|y/o|y\.o|[EP]\{|dpf|hpf|GW|pcw", form)) or forms
    if isinstance(n, int) and 0 < n <= 12 and "old" in forms and rng.random() < 0.04:
        return f"{NUMBER_WORDS[n - 1]}-{unit}-old" if f"-{unit}-old" in forms else pick(rng, forms).format(n)
    return pick(rng, forms).format(n)


SEX_WORDS = {"female": "F|F|F|female|female|Female|f|FEMALE|fem|females|♀|Fem.|girls", "male": "M|M|M|male|male|Male|m|MALE|males|♂|boys",
             "mixed": "mixed sex|M+F|both sexes|pooled sex|M/F pool|males and females|mixed sexes|male & female|M and F|F/M pooled|mixed M/F",
             "hermaphrodite": "hermaphrodite|hermaphrodites|herm.|herm"}
SEX_WORDS = {sex: words.replace("|girls", "").replace("|boys", "") for sex, words in SEX_WORDS.items()}
PERSON = {"female": "woman|woman|girl|lady|female patient|female pt|female donor|women", "male": "man|man|boy|gentleman|male patient|male pt|male donor|men",
          None: "patient|pt|donor|patient|pts|patients"}


def sex_age(rng: random.Random, f: Facts) -> str:
    """Sex and age in one breath."""
    n, letter = f.age, "F" if f.sex == "female" else "M"
    word = rng.choice((letter, letter, f.sex, letter.lower(), f.sex.capitalize()))
    if f.age_unit == "year" and f.kind == HUMAN and rng.random() < 0.6:
        f.organism = HUMAN
        form = rng.choice(("{n}{l}", "{n}{l}", "{l}{n}", "{n}/{l}", "{l}/{n}", "{n} {l}", "{l}, {n}yo", "{n}yo{l}", "{n}yo {l}", "{n} yo {w}",
                           "{n} y/o {w}", "{n}-year-old {w}", "{n} year old {w}", "{w} ({n} yo)", "{w}, {n} y.o.", "({l}, {n})", "{n}{l}",
                           "{n} y.o. {l}", "{w} {n} yo", "{n}y/o {l}", "{n}y/o{l}", "{l} {n}", "{w} aged {n}", "{n} yr old {w}"))
        return form.format(n=n, l=letter.lower() if rng.random() < 0.15 else letter, w=word)
    text = age_text(rng, f)
    return rng.choice((f"{text} {word}", f"{word} {text}", f"{word}, {text}", f"{word} ({text})", f"{text}, {word}", f"{text}/{word}", f"{text} {word}"))


def draw_facts(rng: random.Random) -> Facts:
    f = Facts(kind=draw_organism(rng))
    microbe = f.kind in MICROBES
    if rng.random() < 0.66:
        f.organism = f.kind
        f.words["organism"] = pick(rng, v.ORGANISM[f.kind])
    if f.kind in v.STRAIN and rng.random() < (0.5 if microbe else 0.3):
        f.organism = f.kind
        f.words["strain"] = pick(rng, v.STRAIN[f.kind])
    lines = [key for key in v.CELL_LINE if key[1] == f.kind]
    if lines and "strain" not in f.words and rng.random() < 0.13:
        f.organism = f.kind
        f.tissue = (line := rng.choice(lines))[0]
        f.words["tissue"] = pick(rng, v.CELL_LINE[line])
        if rng.random() < 0.3 and "cell" not in f.words["tissue"]:
            f.words["tissue"] += rng.choice((" cells", " cell line", " cells"))
        f.words["cell line"] = "yes"
    elif rng.random() < 0.86:
        draw_tissue(rng, f.kind, f)
    person = 0.66 if f.kind == HUMAN else 0.05 if microbe or f.kind in PLANTS else 0.34
    if rng.random() < person:
        draw_disease(rng, f)
    living = 0.1 if microbe or "cell line" in f.words else 0.58
    if rng.random() < living and f.kind not in PLANTS:
        f.sex = rng.choices(("female", "male", "mixed"), (48, 48, 4))[0]
        if f.kind == WORM and rng.random() < 0.5:
            f.sex = "hermaphrodite"
    if rng.random() < living:
        f.age, f.age_unit = draw_age(rng, f.kind)
    if rng.random() < 0.8:
        f.assay = rng.choices(list(v.ASSAY), [4 if name == "RNA-seq" else 2 if name in ("scRNA-seq", "ATAC-seq", "ChIP-seq", "WGS", "WES") else 1
                                              for name in v.ASSAY])[0]
        f.words["assay"] = pick(rng, v.ASSAY[f.assay])
    return f


# ----------------------------------------------------------------------------------------------------------- distractors

DRUGS = ("DMSO|dexamethasone|LPS|IFNg|IFN-gamma|TNFa|tamoxifen|doxorubicin|cisplatin|JQ1|vehicle|PBS|rapamycin|metformin|TGFb|imatinib|"
         "IL-2|IL-4|PMA|insulin|estradiol|R1881|dox|anti-PD1|saline|DSS|streptozotocin|poly(I:C)|forskolin|nivolumab|5-FU|paclitaxel|"
         "retinoic acid|ABA|NaCl|glucose|rifampicin|prednisone|BMP4|CHIR99021|palbociclib|corn oil|CCl4|bleomycin|H2O2|olaparib")
GENES = "Trp53|Apoe|Il10|Kras|Pten|TP53|MYC|Stat3|Tet2|Lepr|Nr1h3|Cftr|App|BRCA1|Foxp3|Rag1|Myd88|Bmal1|EGFR|DNMT3A|ARID1A|Ldlr|Sirt1|Atg5"


def identifier(rng: random.Random) -> str:
    d = rng.randint
    return rng.choice((
        lambda: f"S{d(1, 400)}", lambda: f"sample {d(1, 300)}", lambda: f"GSM{d(100000, 8999999)}", lambda: f"SRR{d(100000, 29999999)}",
        lambda: f"SAMN{d(1000000, 39999999):08d}", lambda: f"ID {d(1, 9999)}", lambda: f"ID{d(1, 9999):04d}", lambda: f"#{d(1, 500)}",
        lambda: f"{rng.choice('ABCDHKNPRTX')}{d(1, 99):02d}-{d(1, 999):03d}", lambda: f"well {rng.choice('ABCDEFGH')}{d(1, 12):02d}",
        lambda: f"lib{d(1, 999):03d}", lambda: f"animal {d(1, 60)}", lambda: f"L{d(1, 8):03d}", lambda: f"sample_{d(1, 99)}",
        lambda: f"{rng.choice(('KO', 'WT', 'CT', 'TX', 'GR', 'Z'))}-{d(1, 40)}", lambda: f"mouse #{d(1, 90)}" if False else f"tube {d(1, 96)}",
        lambda: f"Smp{d(1, 999)}", lambda: f"barcode {d(1, 96)}", lambda: f"ERS{d(100000, 9999999)}", lambda: f"TCGA-{rng.choice('ABDEG')}{d(1, 9)}-{d(1000, 9999)}-01A",
        lambda: f"{d(1000, 99999)}", lambda: f"ind_{d(1, 60)}", lambda: f"case {d(1, 200)}", lambda: f"run{d(1, 20)}"))()


def distractor(rng: random.Random, f: Facts) -> str:
    """Something a sample sheet says that is none of the seven fields."""
    d = rng.randint
    drug, gene = pick(rng, DRUGS), pick(rng, GENES)
    hours = rng.choice((1, 2, 3, 4, 6, 8, 12, 16, 18, 24, 36, 48, 72, 96))
    n = d(1, 40)
    group = rng.choices(range(8), (5, 4, 3, 6, 4, 3, 2, 2))[0]
    if group == 0:
        return identifier(rng)
    if group == 1:
        return rng.choice((f"rep{d(1, 6)}", f"rep {d(1, 6)}", f"biol rep {d(1, 4)}", f"replicate {d(1, 5)}", f"R{d(1, 4)}", f"n={d(2, 12)}",
                           f"bio_rep_{d(1, 4)}", f"tech rep {d(1, 3)}", f"replicate_{d(1, 5)}", f"rep. {d(1, 4)}", f"biological replicate {d(1, 4)}", f"r{d(1, 4)}"))
    if group == 2:
        date = rng.choice((f"20{d(10, 26)}-{d(1, 12):02d}-{d(1, 28):02d}", f"{d(1, 28):02d}/{d(1, 12):02d}/{d(10, 26)}",
                           f"{d(1, 28)}.{d(1, 12)}.20{d(10, 26)}", f"20{d(10, 26)}{d(1, 12):02d}{d(1, 28):02d}",
                           f"{rng.choice(('Jan', 'Feb', 'March', 'May', 'June', 'Oct', 'Dec'))} 20{d(10, 26)}"))
        return rng.choice((f"batch{d(1, 9)}", f"batch {d(1, 9)}", f"Batch_{d(1, 9)}", f"lane {d(1, 8)}", f"plate {d(1, 12)}", date, date,
                           f"collected {date}", f"seq'd {date}", f"pool {d(1, 6)}", f"flowcell {rng.choice('AB')}", f"run {date}", f"b{d(1, 5)}"))
    if group == 3:
        day = rng.choice((1, 2, 3, 5, 7, 10, 14, 21, 28))
        return rng.choice((
            f"{hours}h post-infection", f"{hours} hpi", f"{hours}h", f"{hours} h", f"{drug} {hours}h", f"{drug} {n} uM {hours}h", f"{drug} {n}uM",
            f"{drug} {n} ng/ml for {hours} h", f"treated with {drug}", f"{drug} treated", f"{drug} treatment ({hours}h)", f"d{day}", f"day {day}",
            f"day {day} p.i.", f"{day} dpi", f"d{day} post-tx", f"day {day} post treatment", f"{hours}hr timepoint", f"T{d(0, 8)}", f"t={d(0, 48)}h",
            f"time point {d(1, 6)}", f"HFD {d(4, 20)} weeks", f"HFD {d(4, 20)}wk", f"{d(2, 20)} wks on chow", f"chow diet", f"high-fat diet for {d(2, 16)} wks",
            f"DIV{d(3, 28)}", f"DIV {d(3, 28)}", f"differentiation day {d(0, 60)}", f"diff d{d(0, 60)}", f"day {d(5, 90)} in culture", f"untreated", "vehicle",
            "vehicle control", "mock", "mock infected", "DMSO ctrl", "DMSO control", "untreated control", "control diet", "ctrl diet", "control siRNA", "normal diet", "vector control",
            "non-targeting control", "hypoxia 1% O2", "normoxia", "IgG control", "mock control", "treatment: control", "sham", "sham control", "unstim", "unstimulated", "naive", "fasted 16h", "fed",
            f"C{d(1, 6)}D{d(1, 15)}", f"visit {d(1, 6)}", f"week {d(1, 52)} of treatment", f"pre-treatment", "post-treatment", "baseline",
            f"{d(1, 24)} months follow-up", f"follow-up {d(1, 36)} mo", f"{d(2, 48)} months after transplant", f"day {day} post-surgery", f"{day} d after injury",
            f"{drug} {d(1, 100)} mg/kg", f"{drug} x{d(1, 10)}d", f"si{gene}", "siCtrl", "scramble", f"sh{gene}", f"{d(1, 8)} weeks post injection",
            f"survival {d(2, 60)} months", f"heat shock {hours} min", f"{d(16, 42)}C", f"OD600 0.{d(3, 9)}", "log phase", f"stationary phase", "cold stress 4C"))
    if group == 4:
        return rng.choice((
            f"RIN {d(50, 99) / 10}", f"RIN={d(50, 99) / 10}", f"RIN{d(50, 99) / 10}", "PE150", f"2x{rng.choice((50, 75, 100, 150))}", "paired-end", "single-end", "SE50",
            "NovaSeq 6000", "HiSeq 2500", "NextSeq", "NovaSeq", "MiSeq", "Illumina HiSeq 4000", "NextSeq 500", "TruSeq", "polyA", "ribo-depleted", "rRNA depleted",
            f"{d(5, 80)}M reads", f"{d(1, 90)} ng/ul", f"{d(10, 900)} ng input", "stranded", "v3 chemistry", f"Q{d(20, 38)}", "UMI", "QC pass", "QC fail", "low yield",
            "KAPA kit", "total RNA", "gDNA", "PolyA selected", f"{d(1, 10)}k cells", f"{d(1, 9)}0000 nuclei", f"A260/280 {d(17, 21) / 10}", f"DV200 {d(30, 95)}%"))
    if group == 5:
        return rng.choice(("WT", "wt", "wild type", "wild-type", f"{gene}-/-", f"{gene} KO", f"{gene}+/-", f"{gene} fl/fl", f"{gene} het", f"{gene}-/- mutant",
                           f"{gene} mut", "Cre+", "Cre-", "littermate", f"{gene}-GFP", "KO", "mut", "het", f"sg{gene}", f"{gene} R172H", "WT littermate", "transgenic"))
    if group == 6:
        return rng.choice((f"passage {d(2, 40)}", f"psg {d(2, 30)}", f"clone {d(1, 20)}", "FFPE", "snap frozen", "fresh frozen", "OCT", "in RNAlater", "-80", "stored -80C",
                           f"{d(15, 40)} g", f"pool of {d(2, 20)}", "left", "right", "proximal", "dorsal", "sorted", "FACS", "input", "IgG", "L3 larvae"
                           if f.kind == FLY else "cultured", "adult", "aged", "young", "juvenile", "N/A", "xx", "resequenced", "good quality", f"site {d(1, 5)}"))
    if f.kind == HUMAN:
        text = rng.choice((f"BMI {d(180, 420) / 10}", f"BMI={d(18, 42)}", "smoker", "never smoker", "ex-smoker", "stage III", f"stage II{rng.choice('AB')}", "grade 2",
                           "Gleason 4+3", "T2N0M0", "treatment naive", f"EDSS {d(0, 60) / 10}", f"PMI {d(2, 40)}h", f"PMI {d(2, 30)} hrs", f"HbA1c {d(50, 110) / 10}", "APOE e3/e4",
                           "caucasian", "African American", "Hispanic", "post-mortem", f"Braak {rng.choice(('II', 'IV', 'VI'))}", "responder", "non-responder",
                           f"donor {d(1, 40)}", f"pt {d(1, 99)}", f"patient {d(1, 99)}", f"Pt{d(1, 60)}", f"donor{d(1, 9)}", f"P-{d(1, 999):04d}", f"patient_{d(1, 80)}",
                           f"subject {d(1, 90)}", f"subj{d(1, 40):02d}", f"D{d(1, 12)}"))
        if re.match(r"(?i)donor|pt|patient", text):
            f.organism = HUMAN
        return text
    return rng.choice((f"cage {d(1, 30)}", f"litter {d(1, 9)}", f"tank {d(1, 20)}", f"animal ID {d(100, 999)}", "SPF", "germ-free", f"body weight {d(18, 38)} g", f"gen {d(2, 9)}",
                       "chow", "ad lib", "12h light/dark", f"plot {d(1, 30)}", f"colony {d(1, 12)}", f"farm {d(1, 9)}"))


# ---------------------------------------------------------------------------------------------------------------- styles


def sex_text(rng: random.Random, f: Facts) -> str:
    if f.kind == HUMAN and f.sex in ("female", "male") and rng.random() < 0.1:
        f.organism = HUMAN
        return pick(rng, PERSON[f.sex])
    word = pick(rng, SEX_WORDS[f.sex])
    return rng.choice((f"sex {word}", f"sex: {word}", f"sex={word}")) if rng.random() < 0.06 else word


def list_style(rng: random.Random, f: Facts) -> str:
    """`liver bx, 54yo F, HCC, bulk RNAseq`"""
    parts: list[str] = []
    w = dict(f.words)
    left = {"organism", "strain", "tissue", "disease", "assay"} & set(w)
    left |= {"sex"} if f.sex else set()
    left |= {"age"} if f.age is not None else set()

    def take(*names: str) -> bool:
        if left.issuperset(names):
            left.difference_update(names)
            return True
        return False

    if {"sex", "age"} <= left and f.sex in ("female", "male") and rng.random() < 0.6 and take("sex", "age"):
        parts.append(sex_age(rng, f))
        if "strain" in left and rng.random() < 0.25 and take("strain"):
            parts[-1] += " " + w["strain"]
        if "organism" in left and rng.random() < 0.25 and take("organism"):
            parts[-1] += " " + w["organism"]
    x = rng.random()
    if x < 0.16 and {"organism", "tissue"} <= left and take("organism", "tissue"):
        parts.append(rng.choice((f"{w['organism']} {w['tissue']}", f"{w['tissue']} ({w['organism']})", f"{w['organism']} {w['tissue']}")))
        if "assay" in left and rng.random() < 0.3 and take("assay"):
            parts[-1] += " " + w["assay"]
    elif x < 0.26 and {"tissue", "assay"} <= left and take("tissue", "assay"):
        parts.append(rng.choice((f"{w['tissue']} {w['assay']}", f"{w['assay']} {w['tissue']}", f"{w['assay']} of {w['tissue']}", f"{w['assay']} ({w['tissue']})")))
    elif x < 0.36 and {"tissue", "disease"} <= left and take("tissue", "disease"):
        parts.append(rng.choice((f"{w['disease']} {w['tissue']}", f"{w['tissue']} ({w['disease']})", f"{w['tissue']} {w['disease']}", f"{w['disease']}, {w['tissue']}")))
    elif x < 0.44 and {"strain", "organism"} <= left and take("strain", "organism"):
        parts.append(rng.choice((f"{w['strain']} {w['organism']}", f"{w['organism']} ({w['strain']})", f"{w['organism']} {w['strain']}")))
    elif x < 0.52 and {"sex", "organism"} <= left and f.sex in ("female", "male") and take("sex", "organism"):
        parts.append(f"{pick(rng, SEX_WORDS[f.sex])} {w['organism']}")
    elif x < 0.58 and {"disease", "sex"} <= left and f.sex in ("female", "male") and take("sex", "disease"):
        parts.append(rng.choice((f"{w['disease']} {f.sex}", f"{f.sex} {w['disease']}", f"{w['disease']} ({f.sex[0].upper()})")))
    for name in sorted(left):
        parts.append(sex_text(rng, f) if name == "sex" else age_text(rng, f) if name == "age" else w[name])
    for _ in range(rng.choices((0, 1, 2, 3, 4), (30, 30, 22, 12, 6))[0]):
        parts.append(distractor(rng, f))
    rng.shuffle(parts)
    if rng.random() < 0.12:
        parts.insert(0, identifier(rng))
    separator = rng.choices((", ", "; ", " / ", " | ", "/", "|", " - ", " ", ",", ";", "_", "\t", " + ", ". ", ": "), (34, 9, 5, 6, 3, 3, 5, 18, 5, 3, 5, 1.5, 1, 2, 0.5))[0]
    if separator == "_":
        parts = [part.replace(" ", rng.choice(("_", "_", "-", ""))) if rng.random() < 0.8 else part for part in parts]
    text = separator.join(parts)
    if rng.random() < 0.06 and len(parts) > 2:
        text = f"{parts[0]} ({separator.join(parts[1:])})"
    if rng.random() < 0.08 and len(parts) > 2:
        text = f"{parts[0]}{rng.choice((': ', ' - ', ', ', '; '))}{', '.join(parts[1:])}"
    return text


def compact_style(rng: random.Random, f: Facts) -> str:
    """`Hs_liver_HCC_F_54y_RNAseq_rep1`"""
    parts = [f.words[name] for name in ("organism", "strain", "tissue", "disease", "assay") if name in f.words]
    if f.sex in ("female", "male"):
        parts.append(rng.choice((f.sex[0].upper(), f.sex[0].upper(), f.sex, f.sex.capitalize())))
    elif f.sex:
        parts.append(pick(rng, SEX_WORDS[f.sex]))
    if f.age is not None:
        parts.append(age_text(rng, f))
    parts += [distractor(rng, f) for _ in range(rng.choice((0, 1, 1, 2)))]
    if rng.random() < 0.7:
        rng.shuffle(parts)
    glue = rng.choice(("", "", "-", "."))
    parts = [re.sub(r"[ ]+", glue, part) for part in parts]
    return rng.choice(("_", "_", "_", "-", "__", ".", "|")).join(parts)


KEYS = {
    "organism": "organism|species|Organism|organism|host|org|source organism|scientific_name|Species|taxon|host organism",
    "strain": "strain|strain/background|Strain|genetic background|mouse strain|background|ecotype|breed|cultivar",
    "tissue": "tissue|tissue|tissue_type|source_name|source|organ|cell type|cell_type|body site|sample type|material|Tissue|source name|"
              "isolation source|organism part|tissue/cell type",
    "disease": "disease|disease state|disease_state|diagnosis|dx|Dx|condition|health state|phenotype|disease status|health_state|Diagnosis|"
               "subject status|host disease|group|status",
    "sex": "sex|gender|Sex|Gender|sex|host sex",
    "age": "age|Age|age at collection|age at diagnosis|age|host age|Age at sampling|age_at_sampling|dev stage|developmental stage",
    "assay": "assay|assay type|library strategy|library_strategy|data type|method|experiment|seq type|Assay|library type|exp|technique|platform",
}
MISSING = "NA|n/a|N/A|not applicable|unknown|missing|not collected|-|none|not provided|unk|?|not recorded|null|."


def key_value_style(rng: random.Random, f: Facts) -> str:
    """`tissue: liver; sex: F; age: 54y`"""
    colon = rng.choices((": ", "=", ":", " = ", " - ", " "), (55, 18, 14, 5, 3, 5))[0]
    pairs: list[tuple[str, str]] = []
    for name in ("organism", "strain", "tissue", "disease", "assay"):
        if name in f.words:
            key = pick(rng, KEYS[name])
            if name == "tissue" and "cell line" in f.words and rng.random() < 0.6:
                key = rng.choice(("cell line", "cell_line", "Cell line", "cell type"))
            pairs.append((key, f.words[name]))
    if f.sex:
        pairs.append((pick(rng, KEYS["sex"]), pick(rng, SEX_WORDS[f.sex])))
    if f.age is not None:
        x = rng.random()
        key = pick(rng, KEYS["age"])
        if x < 0.2 and f.age_unit in ("year", "month", "week", "day"):
            key = rng.choice(("age ({0}s)", "age_{0}s", "age in {0}s", "Age ({0}s)", "age [{0}s]", "age_{0}", "age ({1})")).format(
                f.age_unit, {"year": "yrs", "month": "mo", "week": "wks", "day": "d"}[f.age_unit])
            pairs.append((key, str(f.age)))
        elif x < 0.34:
            f.age_unit = None
            pairs.append((rng.choice(("age", "Age", "age", "host age", "age at collection")), str(f.age)))
        elif x < 0.5 and f.age_unit in ("day", "hour"):
            pairs.append((key if "stage" not in key else "age", pick(rng, {"day": "{} days|{}d|{} d|{} day", "hour": "{} h|{}h|{} hours|{} hrs"}[f.age_unit]).format(f.age)))
        else:
            pairs.append((key, re.sub(r"^(age:?|aged) ", "", age_text(rng, f))))
    for name, value in (("tissue", f.tissue), ("disease", f.disease), ("sex", f.sex), ("age", f.age), ("assay", f.assay), ("organism", f.organism)):
        if value is None and name not in f.words and rng.random() < 0.22:
            pairs.append((pick(rng, KEYS[name]), pick(rng, MISSING)))
    d = rng.randint
    extra = (("replicate", str(d(1, 4))), ("batch", str(d(1, 9))), ("RIN", str(d(50, 99) / 10)), ("genotype", rng.choice(("WT", "wild type", "KO", f"{pick(rng, GENES)}-/-"))),
             ("treatment", rng.choice(("none", "untreated", "vehicle", "control", pick(rng, DRUGS)))), ("time", f"{d(1, 72)} h"), ("time point", rng.choice((f"{d(1, 72)} h", f"day {d(1, 28)}", f"{d(1, 12)} weeks"))),
             ("duration", rng.choice((f"{d(1, 16)} weeks", f"{d(1, 72)} h"))), ("passage", str(d(2, 30))), ("instrument", "NovaSeq 6000"), ("sample_name", identifier(rng)),
             ("BMI", str(d(180, 400) / 10)), ("diet", rng.choice(("chow", "HFD", "high fat"))), ("dose", f"{d(1, 100)} uM"), ("id", identifier(rng)), ("agent", pick(rng, DRUGS)),
             ("library layout", "PAIRED"), ("weight", f"{d(18, 90)}"), ("PMI", f"{d(2, 40)}"), ("molecule", "total RNA"), ("antibody", "none"), ("biomaterial_provider", f"lab {d(1, 9)}"),
             ("condition", rng.choice(("untreated", "vehicle", f"{pick(rng, DRUGS)} {d(1, 48)}h", "mock", "fasted", "hypoxia"))), ("group", rng.choice(("A", "B", "2", "treated", "placebo"))),
             ("genotype/variation", rng.choice(("wild type", "WT", f"{pick(rng, GENES)} knockout"))), ("geo_loc_name", rng.choice(("USA: Boston", "Germany", "China: Shanghai", "UK"))),
             ("collection_date", f"20{d(10, 25)}-{d(1, 12):02d}"), ("library selection", rng.choice(("cDNA", "PCR", "RANDOM"))), ("read length", "150"), ("tumor stage", rng.choice(("II", "III", "IV"))),
             ("days in culture", str(d(1, 30))), ("infection", "mock"), ("stage", rng.choice(("II", "III", "adult"))), ("ethnicity", rng.choice(("Caucasian", "Asian", "Hispanic"))))
    pairs += rng.sample(extra, rng.choices((0, 1, 2, 3, 4), (25, 30, 25, 12, 8))[0])
    if f.kind == HUMAN and rng.random() < 0.12:
        pairs.append((rng.choice(("patient", "patient_id", "donor", "patient ID", "donor_id")), str(d(1, 300))))
        f.organism = HUMAN
    if rng.random() < 0.7:
        rng.shuffle(pairs)
    style = rng.random()
    keys = [key.upper() if style < 0.05 else key.replace(" ", "_") if style < 0.25 else key.capitalize() if style < 0.35 else key for key, _ in pairs]
    items = [f"{key}{colon}{value}" for key, (_, value) in zip(keys, pairs)]
    if rng.random() < 0.15:
        items.append(distractor(rng, f))
    elif rng.random() < 0.12:
        items.insert(0, identifier(rng))
    return rng.choices(("; ", ", ", " | ", ";", "|", " ", "\n", " ;", "\t"), (38, 30, 9, 8, 4, 6, 3, 1, 1))[0].join(items)


def sentence_style(rng: random.Random, f: Facts) -> str:
    """`RNA-seq of liver from a 54-year-old woman with HCC`"""
    w = f.words
    adjectives: list[str] = []
    after = ""
    noun = w.get("organism", "")
    sex_word = f.sex if f.sex != "mixed" else rng.choice(("male and female", "mixed-sex"))
    age_done = f.age is None
    if f.age is not None and rng.random() < 0.75:
        adjectives.append(age_text(rng, f, adjective=True))
        age_done = True
    if f.sex:
        adjectives.append(sex_word)
    if "strain" in w:
        adjectives.append(w["strain"])
    person = False
    if f.kind == HUMAN and (not noun or rng.random() < 0.35) and rng.random() < 0.55 and f.sex != "mixed":
        person = True
        f.organism = HUMAN
        if f.sex and rng.random() < 0.5:
            adjectives.remove(sex_word)
            noun = rng.choice(("woman", "woman", "girl", "female pt", "female patient") if f.sex == "female" else ("man", "man", "boy", "male pt", "male patient"))
        else:
            noun = rng.choice(("patient", "patient", "donor", "pt", "patients"))
    if not noun and adjectives:
        noun = rng.choice(("individual", "animals", "animal", "subject", "samples", "")) if not person else noun
    subject = " ".join((*adjectives, noun)).strip()
    if subject and noun.endswith(("t", "r", "n", "y", "l")) and rng.random() < 0.7:
        subject = ("an " if re.match(r"(?i)[aeiou]|8|11 |18", subject) else "a ") + subject
    if not age_done:
        after = rng.choice((f" ({age_text(rng, f)})", f" aged {f.age} {f.age_unit}s" if f.age_unit in ("year", "month", "week", "day") else f" at {age_text(rng, f)}",
                            f", {age_text(rng, f)}"))
        if not subject:
            subject, after = after.strip(" ,"), ""
    subject += after
    disease = w.get("disease", "")
    tissue, assay = w.get("tissue", ""), w.get("assay", "")
    early = disease and rng.random() < 0.35
    with_disease = ""
    if disease and not early:
        if f.disease in (v.HEALTHY, v.ADJACENT, v.NEOPLASM):
            with_disease = rng.choice((f" ({disease})", f", {disease}", f" - {disease}"))
        else:
            bare = re.sub(r" (pt|patient)s?$", "", disease)
            with_disease = rng.choice((f" with {bare}", f" with {bare}", f" diagnosed with {bare}", f" suffering from {bare}", f" ({bare})", f", {bare}", f" w/ {bare}",
                                       f" with a history of {bare}"))
            if bare != disease:
                f.organism = f.organism or HUMAN
                with_disease = f" ({disease})"
    what = f"{disease} {tissue}".strip() if early else tissue
    of_what = what or rng.choice(("sample", "material", "tissue", "cells", "samples"))
    tail = "".join(rng.choice((", ", "; ", ". ", " - ", ", ")) + distractor(rng, f) for _ in range(rng.choices((0, 1, 2), (55, 33, 12))[0]))
    from_subject = (rng.choice((" from ", " from ", " of ", " collected from ", " obtained from ", " in ", " isolated from ", " taken from ")) + subject) if subject else ""
    if assay:
        text = rng.choice((
            f"{assay} of {of_what}{from_subject}{with_disease}", f"{assay} on {of_what}{from_subject}{with_disease}", f"{of_what}{from_subject}{with_disease}, {assay}",
            f"{of_what}{from_subject}{with_disease}; {assay}", f"{of_what}{from_subject}{with_disease} ({assay})", f"{assay} data: {of_what}{from_subject}{with_disease}",
            f"We performed {assay} on {of_what}{from_subject}{with_disease}", f"{subject} {what}{with_disease} {assay}", f"{what} {assay}{from_subject}{with_disease}",
            f"{assay}: {of_what}{from_subject}{with_disease}", f"{subject}{with_disease}, {of_what}, {assay}", f"{of_what}{from_subject}{with_disease} was profiled by {assay}",
            f"{of_what}{from_subject}{with_disease} for {assay}", f"{assay} from {of_what}, {subject or 'sample'}{with_disease}"))
    else:
        text = rng.choice((
            f"{of_what}{from_subject}{with_disease}", f"total RNA extracted from {of_what}{from_subject}{with_disease}", f"{subject}{with_disease}, {of_what}",
            f"{of_what} collected at surgery{from_subject}{with_disease}", f"{subject} {of_what}{with_disease}", f"DNA from {of_what}{from_subject}{with_disease}",
            f"{of_what} sample{from_subject}{with_disease}"))
    text = re.sub(r" +", " ", text + tail).strip(" ,;")
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:]
    return text + ("." if rng.random() < 0.2 else "")


# ----------------------------------------------------------------------------------------------------------------- noise


def typing_error(rng: random.Random, text: str) -> str:
    """One letter of one long word dropped, doubled, swapped or replaced. Digits and short words stay."""
    words = [m for m in re.finditer(r"[A-Za-z]{6,}", text)]
    if not words:
        return text
    m = rng.choice(words)
    i = rng.randrange(m.start() + 1, m.end() - 1)
    kind = rng.randrange(4)
    if kind == 0:
        return text[:i] + text[i + 1:]
    if kind == 1:
        return text[:i] + text[i] + text[i:]
    if kind == 2:
        return text[:i] + text[i + 1] + text[i] + text[i + 2:]
    return text[:i] + rng.choice("abcdefghijklmnopqrstuvwxyz") + text[i + 1:]


EMPTY = "blank|NTC|input control|water|empty well|pooled library|no template control|TBD|see notes|undetermined|PhiX|spike-in"


def annotation(rng: random.Random) -> tuple[str, dict[str, object]]:
    """One annotation and its record."""
    if rng.random() < 0.006:
        f = Facts()
        return f"{pick(rng, EMPTY)}{rng.choice((' ', ', ', '_'))}{identifier(rng)}", f.record()
    while True:
        f = draw_facts(rng)
        style = rng.choices((list_style, compact_style, key_value_style, sentence_style), (44, 8, 24, 24))[0]
        text = style(rng, f).strip()
        if 3 <= len(text) <= 230:
            break
    x = rng.random()
    if x < 0.14:
        text = text.lower()
    elif x < 0.17:
        text = text.upper()
    elif x < 0.22:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.13:
        text = typing_error(rng, text)
    if rng.random() < 0.02:
        text = text.replace(", ", " , ").replace(": ", " : ")
    return text, f.record()


def key(text: str) -> str:
    """What two annotations must not share for one to be held out from the other: their letters and digits."""
    return re.sub(r"[\W_]+", "", text.casefold())


def answer(record: dict[str, object]) -> str:
    """The record as the one line of JSON that the model is to write."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def stream(seed: int, without: frozenset[str] = frozenset()) -> Iterator[tuple[str, dict[str, object]]]:
    """Annotations without end, none of whose keys is in `without`."""
    rng = random.Random(seed)
    while True:
        text, record = annotation(rng)
        if key(text) not in without:
            yield text, record


def heldout() -> list[dict[str, object]]:
    """The held-out set: distinct annotations from a seed of their own."""
    rows: list[dict[str, object]] = []
    seen: set[str] = set()
    for text, record in stream(HELDOUT_SEED):
        if key(text) in seen:
            continue
        seen.add(key(text))
        rows.append({"id": f"g{len(rows) + 1:04d}", "text": text, "expected": record})
        if len(rows) == HELDOUT_N:
            return rows
    raise AssertionError("unreachable")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="any seed; without one, the held-out set is written")
    parser.add_argument("--n", type=int, default=20)
    args = parser.parse_args()
    if args.seed is None:
        for row in heldout():
            print(json.dumps(row, ensure_ascii=False))
        return
    for i, (text, record) in zip(range(args.n), stream(args.seed)):
        print(json.dumps({"id": f"x{i + 1}", "text": text, "expected": record}, ensure_ascii=False))


if __name__ == "__main__":
    main()
