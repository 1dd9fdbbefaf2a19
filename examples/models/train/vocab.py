"""The controlled vocabularies of biosample-tiny, and how people spell them.

Owns: every value a field of the record may take, and for each value the spellings seen in sample sheets, separated by
`|`. The first spelling is not special. `python vocab.py` checks that no spelling stands for two values, and prints the
vocabularies as the Markdown lists of the model card.

What is inferred from what is fixed here as well: a strain or a cell line implies its organism; nothing implies a
tissue, a disease or a sex.
"""

from __future__ import annotations

FIELDS = ("organism", "tissue", "disease", "sex", "age", "age_unit", "assay")

ORGANISM = {
    "Homo sapiens": "human|Human|Homo sapiens|H. sapiens|H.sapiens|hsapiens|Hs|hsa|HUMAN|homo sapiens|humans|9606",
    "Mus musculus": "mouse|Mouse|Mus musculus|M. musculus|mmusculus|Mm|mmu|mice|murine|mus|lab mouse|house mouse|10090",
    "Rattus norvegicus": "rat|Rat|Rattus norvegicus|R. norvegicus|rno|rats|Rn|Rattus|Norway rat|rnorvegicus",
    "Danio rerio": "zebrafish|Zebrafish|Danio rerio|D. rerio|dre|ZF|zfish|Danio|zebra fish|drerio",
    "Drosophila melanogaster": "fruit fly|Drosophila melanogaster|D. melanogaster|Drosophila|drosophila|dmel|Dm|fly|flies|"
                               "fruitfly|fruit flies|D. mel",
    "Caenorhabditis elegans": "C. elegans|Caenorhabditis elegans|c elegans|C.elegans|celegans|worm|worms|cel|nematode|Ce worms",
    "Saccharomyces cerevisiae": "yeast|Saccharomyces cerevisiae|S. cerevisiae|budding yeast|baker's yeast|S.cerevisiae|sce|"
                                "Sc yeast|bakers yeast|S cerevisiae",
    "Schizosaccharomyces pombe": "fission yeast|S. pombe|Schizosaccharomyces pombe|S.pombe|pombe",
    "Arabidopsis thaliana": "Arabidopsis|Arabidopsis thaliana|A. thaliana|arabidopsis|ath|thale cress|A.thaliana|Athaliana|At plants",
    "Oryza sativa": "rice|Oryza sativa|O. sativa|osa|rice plant|O.sativa",
    "Zea mays": "maize|Zea mays|Z. mays|corn|zma|maize plant",
    "Escherichia coli": "E. coli|E.coli|Escherichia coli|e coli|eco|Ecoli|E coli",
    "Bacillus subtilis": "B. subtilis|Bacillus subtilis|B.subtilis|bsub",
    "Staphylococcus aureus": "S. aureus|Staphylococcus aureus|S.aureus|staph aureus",
    "Pseudomonas aeruginosa": "P. aeruginosa|Pseudomonas aeruginosa|P.aeruginosa",
    "Plasmodium falciparum": "P. falciparum|Plasmodium falciparum|P.falciparum|Pf parasites",
    "Sus scrofa": "pig|Sus scrofa|swine|S. scrofa|porcine|piglet|minipig|Pig|domestic pig|pigs|mini-pig",
    "Macaca mulatta": "rhesus|rhesus macaque|Macaca mulatta|rhesus monkey|M. mulatta|mml|macaque|Rhesus|macaques",
    "Macaca fascicularis": "cynomolgus|cynomolgus monkey|cyno|Macaca fascicularis|M. fascicularis|crab-eating macaque|"
                           "cynomolgus macaque|NHP cyno",
    "Canis lupus familiaris": "dog|Canis lupus familiaris|canine|Canis familiaris|cfa|dogs|Dog|C. familiaris|C. l. familiaris",
    "Felis catus": "cat|Felis catus|feline|domestic cat|F. catus",
    "Bos taurus": "cow|Bos taurus|bovine|cattle|B. taurus|bta|calf|Cow|dairy cow",
    "Ovis aries": "sheep|Ovis aries|ovine|O. aries|lamb",
    "Equus caballus": "horse|Equus caballus|equine|E. caballus|horses",
    "Gallus gallus": "chicken|Gallus gallus|chick|G. gallus|gga|chickens|hen|broiler chicken",
    "Oryctolagus cuniculus": "rabbit|Oryctolagus cuniculus|O. cuniculus|rabbits",
    "Xenopus laevis": "Xenopus|Xenopus laevis|X. laevis|frog|xla|African clawed frog|X.laevis",
}

# A strain, breed or accession that only one organism has.
STRAIN = {
    "Mus musculus": "C57BL/6|C57BL/6J|C57Bl6|B6|BL6|C57BL/6N|BALB/c|Balb/c|balbc|BALB/cJ|129S1|129/Sv|FVB/N|FVB|NSG|DBA/2J|"
                    "C3H/HeJ|CD-1|CD1|NOD|NOD/ShiLtJ|Black 6|C57 black 6|B6J|B6N|C57",
    "Rattus norvegicus": "Sprague Dawley|Sprague-Dawley|SD rat|Wistar|Wistar rat|Long-Evans|Long Evans|Lewis rat|F344|Fischer 344|"
                         "Brown Norway|SHR rat",
    "Danio rerio": "AB strain|TU strain|Tuebingen|AB/TU|casper fish|Tg(fli1:EGFP)",
    "Drosophila melanogaster": "Oregon-R|Oregon R|Canton-S|Canton S|w1118|OreR|CantonS",
    "Caenorhabditis elegans": "N2|N2 Bristol|Bristol N2|N2 worms|daf-2(e1370)|CB4856",
    "Saccharomyces cerevisiae": "BY4741|W303|S288C|BY4742|W303-1A|SK1",
    "Schizosaccharomyces pombe": "972h-|972 h-",
    "Arabidopsis thaliana": "Col-0|Columbia-0|Col0|Ler-0|Landsberg erecta|Ler ecotype",
    "Oryza sativa": "Nipponbare|IR64|cv. Nipponbare",
    "Zea mays": "B73|Mo17|inbred B73",
    "Escherichia coli": "K-12 MG1655|MG1655|BL21(DE3)|BL21|DH5alpha|BW25113|O157:H7|K12",
    "Bacillus subtilis": "B. subtilis 168|PY79",
    "Staphylococcus aureus": "USA300|MRSA USA300|Newman strain",
    "Pseudomonas aeruginosa": "PAO1|PA14",
    "Plasmodium falciparum": "3D7|Dd2|NF54",
    "Sus scrofa": "Yorkshire pig|Duroc|Landrace pig|Goettingen minipig|Large White pig",
    "Canis lupus familiaris": "beagle|golden retriever|labrador|Labrador retriever|German shepherd|boxer dog",
    "Bos taurus": "Holstein|Holstein cow|Angus|Jersey cow",
    "Gallus gallus": "White Leghorn|Leghorn",
}

# Cell lines are tissues of their own, and imply their organism (never a disease or a sex).
CELL_LINE = {
    ("HEK293 cell line", "Homo sapiens"): "HEK293|HEK-293|HEK 293|HEK293T|293T|HEK293FT|HEK",
    ("HeLa cell line", "Homo sapiens"): "HeLa|Hela|HeLa S3|HELA|HeLa-S3",
    ("A549 cell line", "Homo sapiens"): "A549|A-549",
    ("MCF-7 cell line", "Homo sapiens"): "MCF-7|MCF7|MCF 7",
    ("MDA-MB-231 cell line", "Homo sapiens"): "MDA-MB-231|MDAMB231|MDA-MB231|MDA MB 231",
    ("K562 cell line", "Homo sapiens"): "K562|K-562",
    ("HepG2 cell line", "Homo sapiens"): "HepG2|Hep G2|Hep-G2|HEPG2",
    ("Jurkat cell line", "Homo sapiens"): "Jurkat|Jurkat E6-1|Jurkat T cells",
    ("THP-1 cell line", "Homo sapiens"): "THP-1|THP1",
    ("HCT116 cell line", "Homo sapiens"): "HCT116|HCT-116|HCT 116",
    ("U2OS cell line", "Homo sapiens"): "U2OS|U-2 OS|U2-OS",
    ("LNCaP cell line", "Homo sapiens"): "LNCaP|LNCAP|LnCap",
    ("PC-3 cell line", "Homo sapiens"): "PC-3|PC3",
    ("SH-SY5Y cell line", "Homo sapiens"): "SH-SY5Y|SHSY5Y|SH SY5Y",
    ("Caco-2 cell line", "Homo sapiens"): "Caco-2|CaCo2|Caco2",
    ("GM12878 cell line", "Homo sapiens"): "GM12878|GM-12878",
    ("U-87 MG cell line", "Homo sapiens"): "U87|U-87 MG|U87MG|U-87",
    ("H1 cell line", "Homo sapiens"): "H1 hESC|H1 ESC|hESC H1|WA01",
    ("IMR-90 cell line", "Homo sapiens"): "IMR-90|IMR90",
    ("Calu-3 cell line", "Homo sapiens"): "Calu-3|Calu3",
    ("RPE-1 cell line", "Homo sapiens"): "RPE1|hTERT RPE-1|RPE-1",
    ("NIH/3T3 cell line", "Mus musculus"): "NIH3T3|NIH/3T3|NIH 3T3|3T3",
    ("RAW 264.7 cell line", "Mus musculus"): "RAW 264.7|RAW264.7|RAW cells",
    ("3T3-L1 cell line", "Mus musculus"): "3T3-L1|3T3L1",
    ("C2C12 cell line", "Mus musculus"): "C2C12|C2C12 myoblasts",
    ("B16-F10 cell line", "Mus musculus"): "B16-F10|B16F10|B16 F10",
    ("PC-12 cell line", "Rattus norvegicus"): "PC12|PC-12",
    ("H9c2 cell line", "Rattus norvegicus"): "H9c2|H9C2",
    ("INS-1 cell line", "Rattus norvegicus"): "INS-1|INS1|INS-1E",
    ("S2 cell line", "Drosophila melanogaster"): "S2 cells|Schneider S2|S2R+|S2 cell line",
}

# Organs that may be followed by a word such as "biopsy".
ORGAN = {
    "liver": "liver|hepatic|hepatic tissue|Liver|liver lobe|liv",
    "lung": "lung|Lung|pulmonary tissue|lung parenchyma|lungs|lng",
    "kidney": "kidney|renal|Kidney|renal tissue|kidneys|kid",
    "kidney cortex": "kidney cortex|renal cortex|cortex of kidney",
    "heart": "heart|cardiac|cardiac tissue|Heart|myocardium|whole heart|hrt",
    "left ventricle": "left ventricle|LV|heart LV|left ventricular myocardium|L ventricle|heart left ventricle",
    "aorta": "aorta|aortic|aortic tissue|thoracic aorta",
    "brain": "brain|whole brain|Brain|brain tissue|cerebral tissue|brn",
    "cerebral cortex": "cortex|cerebral cortex|Ctx|neocortex|brain cortex|cortical tissue|ctx",
    "prefrontal cortex": "prefrontal cortex|PFC|DLPFC|dorsolateral prefrontal cortex|frontal cortex|pre-frontal cortex|BA9|mPFC",
    "hippocampus": "hippocampus|hippocampal|hippo|hippocampi|HPC|dorsal hippocampus",
    "cerebellum": "cerebellum|cerebellar|CBL|cerebellar tissue|cbm",
    "hypothalamus": "hypothalamus|hypothalamic|hypoth",
    "striatum": "striatum|striatal|dorsal striatum|caudate putamen",
    "substantia nigra": "substantia nigra|SN brain|s. nigra|midbrain substantia nigra",
    "spinal cord": "spinal cord|lumbar spinal cord|sp. cord|spinal chord|cervical spinal cord",
    "dorsal root ganglion": "DRG|dorsal root ganglion|dorsal root ganglia|DRGs|L4/L5 DRG",
    "retina": "retina|retinal|neural retina|retinae|retinal tissue",
    "pancreas": "pancreas|pancreatic|panc|pancreatic tissue|Pancreas",
    "pancreatic islet": "pancreatic islets|islets|islets of Langerhans|pancreatic islet|isolated islets",
    "stomach": "stomach|gastric|gastric mucosa|Stomach|gastric antrum|stomach corpus",
    "esophagus": "esophagus|oesophagus|esophageal|esophageal mucosa|oesophageal",
    "small intestine": "small intestine|SI tissue|small bowel|small intestinal|sm intestine|jejunum",
    "duodenum": "duodenum|duodenal|duodenal mucosa|D2 duodenum",
    "ileum": "ileum|ileal|terminal ileum|TI mucosa|ileal mucosa",
    "colon": "colon|colonic|colonic mucosa|large intestine|sigmoid colon|asc. colon|ascending colon|colon mucosa|Colon",
    "rectum": "rectum|rectal|rectal mucosa",
    "spleen": "spleen|splenic|spleens|Spleen|splenic tissue|spl",
    "thymus": "thymus|thymic|Thymus|thymic tissue|thymi",
    "lymph node": "lymph node|LN|lymph nodes|draining lymph node|dLN|mesenteric LN|inguinal lymph node|MLN|lymphnode",
    "tonsil": "tonsil|tonsils|tonsillar|palatine tonsil",
    "bone marrow": "bone marrow|BM|BM aspirate|marrow|bone-marrow|BMMC|bonemarrow|bone marrow aspirate",
    "bone": "bone|femur|tibia|trabecular bone|calvaria",
    "cartilage": "cartilage|articular cartilage|knee cartilage|chondral tissue",
    "synovium": "synovium|synovial tissue|synovial membrane|knee synovium",
    "skeletal muscle": "skeletal muscle|muscle|gastrocnemius|vastus lateralis|quadriceps|tibialis anterior|TA muscle|sk. muscle|"
                       "skel muscle|soleus|quad muscle|gastroc",
    "adipose tissue": "adipose|adipose tissue|fat|fat pad|adipose tiss|fat tissue",
    "white adipose tissue": "WAT|white adipose tissue|eWAT|iWAT|gWAT|epididymal fat|inguinal WAT|subcutaneous WAT",
    "brown adipose tissue": "BAT|brown adipose tissue|brown fat|iBAT|interscapular BAT",
    "skin": "skin|dermal|Skin|dorsal skin|skin punch|lesional skin|epidermis|dermis|cutaneous",
    "breast": "breast|mammary|breast tissue|Breast|mammary gland|mammary tissue",
    "ovary": "ovary|ovarian|ovaries|Ovary|ovarian tissue",
    "uterus": "uterus|uterine|myometrium|uterine tissue",
    "endometrium": "endometrium|endometrial|eutopic endometrium",
    "placenta": "placenta|placental|Placenta|placental villi|chorionic villi|placental tissue",
    "cervix": "cervix|cervical tissue|ectocervix|cervix uteri",
    "prostate": "prostate|prostatic|Prostate|prostate gland|prostate tissue",
    "testis": "testis|testes|testicular|testicle|Testis|testicular tissue",
    "bladder": "bladder|urinary bladder|bladder wall|urothelium",
    "thyroid": "thyroid|thyroid gland|Thyroid|thyroid tissue",
    "adrenal gland": "adrenal gland|adrenal|adrenals|adrenal cortex",
    "pituitary": "pituitary|pituitary gland|hypophysis|anterior pituitary",
    "salivary gland": "salivary gland|parotid|parotid gland|submandibular gland|minor salivary gland",
    "gallbladder": "gallbladder|gall bladder|gall-bladder",
    "eye": "eye|whole eye|eyes|eyeball",
    "cornea": "cornea|corneal|corneal epithelium",
    "trachea": "trachea|tracheal|tracheal epithelium",
    "nasal epithelium": "nasal epithelium|nasal epith|nasal mucosa|nasal brushing|nasal scrape",
    "bronchial epithelium": "bronchial epithelium|bronchial brushing|airway epithelium|bronchial epithelial cells|HBEC|bronchial brush",
    "gingiva": "gingiva|gingival|gingival tissue|gum tissue",
}

# Fluids and cells: named as they are.
CELL = {
    "blood": "blood|whole blood|peripheral blood|WB|Blood|venous blood|PB|PAXgene blood|bld|periph. blood",
    "peripheral blood mononuclear cell": "PBMC|PBMCs|peripheral blood mononuclear cells|pbmc|periph blood mononuclear cells|PBMC's",
    "plasma": "plasma|blood plasma|EDTA plasma|cfDNA plasma|Plasma",
    "serum": "serum|blood serum|Serum|sera",
    "cord blood": "cord blood|umbilical cord blood|UCB|CB mononuclear cells",
    "saliva": "saliva|Saliva|saliva sample|spit",
    "urine": "urine|urinary sediment|Urine|urine pellet|voided urine",
    "stool": "stool|feces|faeces|fecal sample|faecal|fecal pellet|gut content|fecal|stool sample|fecal swab",
    "cerebrospinal fluid": "CSF|cerebrospinal fluid|lumbar CSF|cerebrospinal fl.",
    "bronchoalveolar lavage": "BAL|BALF|bronchoalveolar lavage|BAL fluid|bronchoalveolar lavage fluid|lavage",
    "sputum": "sputum|induced sputum|Sputum",
    "nasopharyngeal swab": "nasopharyngeal swab|NP swab|NPS|nasopharyngeal|naso-pharyngeal swab",
    "buccal swab": "buccal swab|buccal|cheek swab|buccal cells",
    "vaginal swab": "vaginal swab|vaginal|vaginal fluid",
    "milk": "milk|breast milk|raw milk",
    "sperm": "sperm|spermatozoa|semen|sperm cells",
    "oocyte": "oocyte|oocytes|MII oocytes|egg cells",
    "T cell": "T cells|T-cells|T cell|CD3+ T cells|CD3+|T lymphocytes|Tcells",
    "CD4 T cell": "CD4 T cells|CD4+ T cells|CD4+|CD4 T-cells|CD4+ T lymphocytes|naive CD4 T cells|CD4+ cells|helper T cells",
    "CD8 T cell": "CD8 T cells|CD8+ T cells|CD8+|CD8 T-cells|cytotoxic T cells|CD8+ T lymphocytes|CD8+ cells",
    "regulatory T cell": "Treg|Tregs|regulatory T cells|CD4+CD25+ Tregs|T reg cells|Foxp3+ Tregs",
    "B cell": "B cells|B-cells|CD19+ B cells|B cell|B lymphocytes|CD19+|CD19+ cells",
    "NK cell": "NK cells|natural killer cells|NK|CD56+ NK cells",
    "monocyte": "monocytes|CD14+ monocytes|CD14+|monos|CD14+ cells|monocyte",
    "macrophage": "macrophages|BMDM|BMDMs|MDM|monocyte-derived macrophages|peritoneal macrophages|macrophage|bone marrow-derived macrophages|"
                  "Mphi|alveolar macrophages",
    "dendritic cell": "dendritic cells|DCs|moDC|BMDC|cDC1|pDC|dendritic cell",
    "neutrophil": "neutrophils|PMN|neutrophil|PMNs|granulocytes|polymorphonuclear cells",
    "hematopoietic stem cell": "HSC|HSCs|hematopoietic stem cells|LSK cells|CD34+|CD34+ HSPCs|haematopoietic stem cells|LT-HSC|CD34+ cells",
    "platelet": "platelets|PLT|thrombocytes",
    "fibroblast": "fibroblasts|dermal fibroblasts|skin fibroblasts|MEF|MEFs|embryonic fibroblasts|fibroblast|primary fibroblasts",
    "keratinocyte": "keratinocytes|NHEK|epidermal keratinocytes|keratinocyte",
    "hepatocyte": "hepatocytes|primary hepatocytes|PHH|hepatocyte|isolated hepatocytes",
    "cardiomyocyte": "cardiomyocytes|CMs|cardiac myocytes|iPSC-CM|iPSC-CMs|iPSC-derived cardiomyocytes|cardiomyocyte",
    "adipocyte": "adipocytes|primary adipocytes|adipocyte|mature adipocytes",
    "neuron": "neurons|cortical neurons|primary neurons|iPSC-derived neurons|neuronal cells|NeuN+ nuclei|neuron|hippocampal neurons|iNeurons",
    "astrocyte": "astrocytes|primary astrocytes|astroglia|astrocyte|iPSC-derived astrocytes",
    "microglia": "microglia|microglial cells|CD11b+ microglia|primary microglia|iMicroglia",
    "oligodendrocyte": "oligodendrocytes|OPC|OPCs|oligos|oligodendrocyte",
    "neural progenitor cell": "NPC|NPCs|neural progenitor cells|neural stem cells|neural progenitors|NSCs|NSC",
    "endothelial cell": "endothelial cells|HUVEC|HUVECs|ECs|CD31+ endothelial cells|endothelium",
    "epithelial cell": "epithelial cells|EpCAM+ cells|EpCAM+|epithelium",
    "smooth muscle cell": "smooth muscle cells|SMC|VSMC|vascular smooth muscle cells|SMCs",
    "mesenchymal stem cell": "MSC|MSCs|mesenchymal stem cells|mesenchymal stromal cells|BM-MSC|ADSC",
    "embryonic stem cell": "ESC|ESCs|mESC|mESCs|embryonic stem cells|ES cells|hESC|hESCs|embryonic stem cell",
    "induced pluripotent stem cell": "iPSC|iPSCs|iPS cells|hiPSC|induced pluripotent stem cells|hiPSCs|iPS",
    "intestinal organoid": "intestinal organoids|gut organoids|colon organoids|enteroids|intestinal organoid|colonoids",
    "brain organoid": "cerebral organoids|brain organoids|cortical organoids|cerebral organoid|brain organoid",
    "embryo": "embryo|embryos|whole embryo|embryonic tissue|whole embryos|emb",
}

# Parts of animals without the organs above, and of plants.
SMALL_ANIMAL = {
    "whole organism": "whole body|whole animal|whole larvae|whole worms|whole flies|whole organism|whole fish|entire animal|whole larva",
    "head": "head|heads|fly heads|adult heads",
    "wing disc": "wing disc|wing imaginal disc|wing discs|wing imaginal discs",
    "midgut": "midgut|midguts|gut midgut|larval midgut",
    "fat body": "fat body|fat bodies|larval fat body",
    "germline": "germline|gonad|gonads|dissected gonads|germ line",
    "fin": "fin|caudal fin|fin clip|fin regenerate|tail fin",
    "gill": "gill|gills|gill tissue",
}
PLANT = {
    "leaf": "leaf|leaves|rosette leaves|rosette leaf|leaf tissue|cauline leaf|flag leaf|leaf blade",
    "root": "root|roots|root tips|root tip|primary root|root tissue",
    "seedling": "seedling|seedlings|whole seedlings|whole seedling",
    "flower": "flower|flowers|inflorescence|floral buds|flower buds|panicle",
    "seed": "seed|seeds|siliques|kernel|grain|endosperm|dry seeds",
    "shoot": "shoot|shoots|shoot apex|SAM|shoot apical meristem|stem tissue",
}

HEALTHY = "healthy"
ADJACENT = "tumor-adjacent normal"
NEOPLASM = "neoplasm"
CANCER = {
    "hepatocellular carcinoma": "HCC|hepatocellular carcinoma|hepatocellular ca|liver cancer|hepatocell. carcinoma|primary liver cancer|hepatoma",
    "cholangiocarcinoma": "cholangiocarcinoma|CCA|bile duct cancer|iCCA|cholangio ca",
    "lung adenocarcinoma": "lung adenocarcinoma|LUAD|lung adeno|adenocarcinoma of the lung|lung adenoca",
    "lung squamous cell carcinoma": "LUSC|lung squamous cell carcinoma|squamous cell lung cancer|lung SCC",
    "non-small cell lung carcinoma": "NSCLC|non-small cell lung cancer|non small cell lung cancer|non-small cell lung carcinoma|nsclc",
    "small cell lung carcinoma": "SCLC|small cell lung cancer|small-cell lung cancer|small cell lung carcinoma",
    "breast carcinoma": "breast cancer|BRCA tumor|breast ca|breast carcinoma|mammary carcinoma|IDC|invasive ductal carcinoma|BrCa|"
                        "ER+ breast cancer|HER2+ breast cancer",
    "triple-negative breast carcinoma": "TNBC|triple-negative breast cancer|triple negative breast cancer|triple neg breast ca",
    "colorectal carcinoma": "CRC|colorectal cancer|colon cancer|colorectal carcinoma|colon adenocarcinoma|COAD|bowel cancer|colon ca|MSI-H CRC",
    "gastric carcinoma": "gastric cancer|GC tumor|stomach cancer|gastric carcinoma|gastric adenocarcinoma|STAD|gastric ca",
    "esophageal carcinoma": "esophageal cancer|ESCC|oesophageal cancer|esophageal carcinoma|esophageal squamous cell carcinoma",
    "pancreatic ductal adenocarcinoma": "PDAC|pancreatic cancer|pancreatic ductal adenocarcinoma|PAAD|pancreas cancer|panc ca",
    "prostate carcinoma": "prostate cancer|PRAD|PCa|prostate adenocarcinoma|prostate ca|CRPC|prostate carcinoma|mCRPC",
    "ovarian carcinoma": "ovarian cancer|HGSOC|high-grade serous ovarian carcinoma|ovarian carcinoma|ovarian ca|HGSC",
    "cervical carcinoma": "cervical cancer|CESC|cervical carcinoma|cervix cancer",
    "endometrial carcinoma": "endometrial cancer|UCEC|endometrial carcinoma|uterine cancer",
    "bladder carcinoma": "bladder cancer|BLCA|bladder carcinoma|urothelial carcinoma|MIBC",
    "renal cell carcinoma": "RCC|ccRCC|renal cell carcinoma|clear cell RCC|kidney cancer|KIRC|clear cell renal cell carcinoma",
    "thyroid carcinoma": "thyroid cancer|PTC|papillary thyroid carcinoma|THCA|thyroid carcinoma|papillary thyroid cancer",
    "head and neck squamous cell carcinoma": "HNSCC|head and neck cancer|head and neck squamous cell carcinoma|H&N SCC|oral squamous cell carcinoma|"
                                             "OSCC|HNSC",
    "melanoma": "melanoma|SKCM|metastatic melanoma|cutaneous melanoma|malignant melanoma|Melanoma",
    "glioblastoma": "glioblastoma|GBM|glioblastoma multiforme|grade IV glioma|Glioblastoma",
    "glioma": "glioma|LGG|low-grade glioma|low grade glioma|diffuse glioma",
    "medulloblastoma": "medulloblastoma|MB SHH|SHH medulloblastoma|medullo",
    "neuroblastoma": "neuroblastoma|NBL|high-risk neuroblastoma|neuroblastoma stage 4",
    "osteosarcoma": "osteosarcoma|OS tumor|bone sarcoma|osteogenic sarcoma",
    "Ewing sarcoma": "Ewing sarcoma|Ewing's sarcoma|EWS|Ewings sarcoma",
    "acute myeloid leukemia": "AML|acute myeloid leukemia|acute myeloid leukaemia|acute myelogenous leukemia|LAML|rel. AML",
    "acute lymphoblastic leukemia": "ALL leukemia|acute lymphoblastic leukemia|B-ALL|T-ALL|acute lymphoblastic leukaemia|BCP-ALL",
    "chronic lymphocytic leukemia": "CLL|chronic lymphocytic leukemia|chronic lymphocytic leukaemia|B-CLL",
    "chronic myeloid leukemia": "CML|chronic myeloid leukemia|chronic myeloid leukaemia|chronic phase CML",
    "diffuse large B-cell lymphoma": "DLBCL|diffuse large B-cell lymphoma|diffuse large B cell lymphoma|DLBC",
    "multiple myeloma": "multiple myeloma|myeloma|Multiple Myeloma|smoldering myeloma",
    "myelodysplastic syndrome": "MDS|myelodysplastic syndrome|myelodysplasia",
}
DISEASE = {
    "type 1 diabetes": "T1D|type 1 diabetes|T1DM|type I diabetes|diabetes type 1|type 1 DM|juvenile diabetes",
    "type 2 diabetes": "T2D|type 2 diabetes|T2DM|type II diabetes|diabetes type 2|type 2 DM|NIDDM",
    "obesity": "obesity|obese|severe obesity|morbid obesity|obese subject",
    "non-alcoholic fatty liver disease": "NAFLD|fatty liver|non-alcoholic fatty liver disease|hepatic steatosis|steatosis|MASLD",
    "non-alcoholic steatohepatitis": "NASH|non-alcoholic steatohepatitis|nonalcoholic steatohepatitis|steatohepatitis|MASH",
    "cirrhosis": "cirrhosis|liver cirrhosis|cirrhotic|alcoholic cirrhosis",
    "hepatitis B": "HBV|hepatitis B|chronic hepatitis B|CHB|hep B|HBV infected",
    "hepatitis C": "HCV|hepatitis C|chronic hepatitis C|hep C|HCV infected",
    "Alzheimer disease": "AD|Alzheimer's disease|Alzheimer disease|Alzheimers|alzheimer's|Alzheimer|late-onset AD|AD dementia",
    "Parkinson disease": "PD|Parkinson's disease|Parkinson disease|Parkinsons|parkinson's|idiopathic PD",
    "Huntington disease": "HD|Huntington's disease|Huntington disease|Huntingtons",
    "amyotrophic lateral sclerosis": "ALS|amyotrophic lateral sclerosis|sporadic ALS|C9orf72 ALS|motor neuron disease|sALS",
    "multiple sclerosis": "MS|multiple sclerosis|RRMS|relapsing-remitting MS|secondary progressive MS",
    "epilepsy": "epilepsy|TLE|temporal lobe epilepsy|epileptic|seizure disorder",
    "schizophrenia": "schizophrenia|SCZ|schizophrenic|SZ|Schizophrenia",
    "major depressive disorder": "MDD|major depressive disorder|depression|major depression|depressed",
    "bipolar disorder": "bipolar disorder|BD|bipolar|BPD I|bipolar I disorder",
    "autism spectrum disorder": "ASD|autism|autism spectrum disorder|autistic",
    "stroke": "stroke|ischemic stroke|ischaemic stroke|MCAO|cerebral infarction|CVA",
    "traumatic brain injury": "TBI|traumatic brain injury|head trauma|brain injury",
    "asthma": "asthma|severe asthma|asthmatic|allergic asthma|Asthma",
    "chronic obstructive pulmonary disease": "COPD|chronic obstructive pulmonary disease|emphysema|COPD GOLD 3",
    "idiopathic pulmonary fibrosis": "IPF|idiopathic pulmonary fibrosis|pulmonary fibrosis|lung fibrosis",
    "cystic fibrosis": "CF|cystic fibrosis|CF F508del|mucoviscidosis",
    "COVID-19": "COVID-19|COVID|covid19|SARS-CoV-2 infection|severe COVID-19|COVID19|SARS-CoV-2 positive|covid-19|SARS-CoV-2+",
    "influenza": "influenza|flu|influenza A|IAV infection|H1N1 influenza|Flu",
    "pneumonia": "pneumonia|CAP pneumonia|community-acquired pneumonia|bacterial pneumonia",
    "tuberculosis": "TB|tuberculosis|active TB|pulmonary TB|pulmonary tuberculosis|Mtb infection",
    "HIV infection": "HIV|HIV+|HIV infection|HIV-1|HIV positive|AIDS|HIV-infected",
    "malaria": "malaria|falciparum malaria|severe malaria|cerebral malaria",
    "sepsis": "sepsis|septic shock|septic|urosepsis|Sepsis",
    "Crohn disease": "Crohn's disease|CD ileitis|Crohns|Crohn's|Crohn disease|Crohn",
    "ulcerative colitis": "UC|ulcerative colitis|ulcer. colitis|active UC|Ulcerative Colitis",
    "inflammatory bowel disease": "IBD|inflammatory bowel disease|IBD-U|DSS colitis|colitis",
    "celiac disease": "celiac disease|coeliac disease|CeD|celiac|coeliac",
    "rheumatoid arthritis": "RA|rheumatoid arthritis|rheum. arthritis|seropositive RA|Rheumatoid Arthritis|CIA arthritis",
    "osteoarthritis": "OA|osteoarthritis|knee OA|hip OA|osteoarthritic",
    "systemic lupus erythematosus": "SLE|lupus|systemic lupus erythematosus|lupus nephritis|Lupus",
    "psoriasis": "psoriasis|psoriatic|plaque psoriasis|PSO|psoriasis vulgaris",
    "atopic dermatitis": "atopic dermatitis|AtD|eczema|atopic eczema",
    "systemic sclerosis": "SSc|systemic sclerosis|scleroderma|dcSSc",
    "chronic kidney disease": "CKD|chronic kidney disease|CKD stage 3|CKD G4|chronic renal failure",
    "acute kidney injury": "AKI|acute kidney injury|renal IRI|ischemic AKI",
    "diabetic nephropathy": "diabetic nephropathy|DKD|diabetic kidney disease|DN nephropathy",
    "hypertension": "hypertension|HTN|hypertensive|high blood pressure",
    "atherosclerosis": "atherosclerosis|atherosclerotic|athero|carotid atherosclerosis|atherosclerotic plaque",
    "myocardial infarction": "MI|myocardial infarction|acute MI|AMI|STEMI|heart attack|post-MI",
    "heart failure": "heart failure|HF|HFrEF|HFpEF|congestive heart failure|CHF|end-stage heart failure",
    "dilated cardiomyopathy": "DCM|dilated cardiomyopathy|idiopathic DCM|dilated CM",
    "hypertrophic cardiomyopathy": "HCM|hypertrophic cardiomyopathy|HOCM",
    "preeclampsia": "preeclampsia|pre-eclampsia|PE placenta|preeclamptic|early-onset preeclampsia",
    "endometriosis": "endometriosis|endometriotic|ovarian endometriosis",
    "polycystic ovary syndrome": "PCOS|polycystic ovary syndrome|polycystic ovaries",
    "Down syndrome": "Down syndrome|trisomy 21|T21|Down's syndrome|Downs syndrome",
    "Duchenne muscular dystrophy": "DMD|Duchenne muscular dystrophy|Duchenne|mdx dystrophy",
    "sickle cell disease": "sickle cell disease|SCD|sickle cell anemia|sickle cell",
    "periodontitis": "periodontitis|chronic periodontitis|periodontal disease",
    "glaucoma": "glaucoma|POAG|open-angle glaucoma",
    "age-related macular degeneration": "AMD|age-related macular degeneration|macular degeneration|wet AMD",
}
HEALTHY_WORDS = ("healthy|normal|control|ctrl|healthy control|HC|unaffected|non-diseased|Healthy|Control|normal control|disease-free|"
                 "no disease|Ctrl|healthy ctrl|Normal|CTL|non-disease control|nondiseased|control group|healthy ctl")
HEALTHY_HUMAN = "healthy donor|healthy volunteer|healthy subject|healthy individual|HD donor|normal donor|healthy donors"
ADJACENT_WORDS = ("adjacent normal|normal adjacent|NAT|tumor-adjacent normal|adjacent non-tumor|non-tumor adjacent|paired normal|"
                  "normal adjacent tissue|adj. normal|matched normal|peritumoral normal|adjacent non-tumour tissue")
NEOPLASM_WORDS = "tumor|tumour|primary tumor|tumor tissue|Tumor|neoplasm|primary tumour|tumor sample|cancer|tumour tissue"

ASSAY = {
    "RNA-seq": "RNA-seq|RNAseq|RNA-Seq|bulk RNA-seq|bulk RNAseq|RNA seq|mRNA-seq|mRNAseq|total RNA-seq|RNASeq|rnaseq|RNA sequencing|"
               "polyA RNA-seq|stranded RNA-seq|transcriptome sequencing|bulk RNA sequencing|bulk RNA|mRNA sequencing|rna-seq",
    "scRNA-seq": "scRNA-seq|scRNAseq|single-cell RNA-seq|single cell RNA-seq|10x scRNA-seq|sc-RNA-seq|single cell RNAseq|Smart-seq2|"
                 "10x Chromium scRNA|Drop-seq|scRNA|single-cell RNA sequencing|10X 3' GEX|single cell transcriptomics",
    "snRNA-seq": "snRNA-seq|snRNAseq|single-nucleus RNA-seq|single nucleus RNA-seq|single nuclei RNA-seq|snRNA|sNuc-seq|10x snRNA-seq",
    "ATAC-seq": "ATAC-seq|ATACseq|ATAC|ATAC-Seq|omni-ATAC|bulk ATAC-seq|atac seq|OmniATAC-seq",
    "scATAC-seq": "scATAC-seq|scATAC|single-cell ATAC-seq|single cell ATAC|10x scATAC|snATAC-seq|scATACseq",
    "single-cell multiome": "10x multiome|multiome|scMultiome|single-cell multiome|10x Multiome ATAC+GEX|single nucleus multiome",
    "CITE-seq": "CITE-seq|CITEseq|CITE-Seq|cite-seq",
    "spatial transcriptomics": "Visium|10x Visium|spatial transcriptomics|Slide-seq|MERFISH|spatial RNA-seq|Visium spatial|Xenium",
    "small RNA-seq": "small RNA-seq|smRNA-seq|miRNA-seq|miRNAseq|sRNA-seq|microRNA sequencing|small RNAseq",
    "long-read RNA-seq": "Iso-Seq|IsoSeq|long-read RNA-seq|ONT direct RNA|PacBio Iso-Seq|nanopore cDNA|ONT cDNA-seq",
    "Ribo-seq": "Ribo-seq|RiboSeq|ribosome profiling|Ribo-Seq",
    "ChIP-seq": "ChIP-seq|ChIPseq|ChIP-Seq|H3K27ac ChIP-seq|H3K4me3 ChIP-seq|CTCF ChIP-seq|chip seq|ChIP|H3K27me3 ChIP|Pol II ChIP-seq|"
                "ChIP sequencing|anti-p65 ChIP-seq",
    "CUT&RUN": "CUT&RUN|CUTnRUN|Cut and Run|cut&run|H3K27me3 CUT&RUN|CUT-and-RUN",
    "CUT&Tag": "CUT&Tag|CUTnTag|Cut&Tag|H3K4me3 CUT&Tag|CUT-and-Tag|cut and tag",
    "DNase-seq": "DNase-seq|DNaseI-seq|DNase-Seq|DNase hypersensitivity|DHS-seq",
    "CLIP-seq": "CLIP-seq|eCLIP|iCLIP|HITS-CLIP|PAR-CLIP|eCLIP-seq",
    "Hi-C": "Hi-C|HiC|in situ Hi-C|in-situ HiC|Micro-C|hi-c",
    "WGS": "WGS|whole genome sequencing|whole-genome sequencing|30x WGS|genome sequencing|wgs|PCR-free WGS|low-pass WGS|whole genome seq|whole genome",
    "WES": "WES|whole exome sequencing|exome|whole-exome sequencing|exome-seq|exome sequencing|wes|WXS|exome seq|whole exome",
    "targeted DNA sequencing": "targeted panel|gene panel|targeted sequencing|targeted DNA-seq|cancer panel|amplicon panel|hybrid capture panel|panel seq",
    "WGBS": "WGBS|whole genome bisulfite sequencing|whole-genome bisulfite|bisulfite-seq|BS-seq|MethylC-seq|EM-seq",
    "RRBS": "RRBS|reduced representation bisulfite|reduced representation bisulfite sequencing",
    "methylation array": "methylation array|EPIC array|450K array|Illumina EPIC|450k methylation|MethylationEPIC|850K array|HM450",
    "expression microarray": "microarray|expression array|Affymetrix|Affy U133|gene expression microarray|HG-U133 Plus 2|Agilent microarray|"
                             "Illumina BeadChip HT-12|expression microarray|Affy array",
    "16S rRNA sequencing": "16S|16S rRNA|16S amplicon|16S V4|16S rRNA sequencing|16S rRNA gene seq|16S V3-V4|16s|16S-seq",
    "shotgun metagenomics": "shotgun metagenomics|metagenomics|metagenome|WMS metagenomics|metagenomic sequencing|shotgun metagenome|shotgun metagenomic",
    "TCR-seq": "TCR-seq|TCRseq|TCR repertoire|TCRb sequencing|TCR sequencing|immunoSEQ",
    "proteomics": "proteomics|LC-MS/MS|LC-MS/MS proteomics|TMT proteomics|mass spec|DIA proteomics|label-free proteomics|TMT-MS|DIA-MS|"
                  "shotgun proteomics|LFQ proteomics|mass spec proteomics",
    "metabolomics": "metabolomics|untargeted metabolomics|LC-MS metabolomics|GC-MS metabolomics|NMR metabolomics",
}

AGE_UNITS = ("year", "month", "week", "day", "hour", "embryonic day", "dpf", "hpf", "gestational week", "post-conception week")
SEXES = ("female", "male", "mixed", "hermaphrodite")

VERTEBRATE = {**ORGAN, **CELL}
ALL_DISEASE = {**CANCER, **DISEASE}


def split(spellings: str) -> list[str]:
    """The spellings of one value."""
    return spellings.split("|")


def check() -> None:
    """Fails when one spelling, ignoring case, stands for two values of any field."""
    seen: dict[str, str] = {}
    tables: list[dict] = [ORGANISM, STRAIN, CELL_LINE, ORGAN, CELL, SMALL_ANIMAL, PLANT, CANCER, DISEASE, ASSAY,
                          {HEALTHY: HEALTHY_WORDS + "|" + HEALTHY_HUMAN, ADJACENT: ADJACENT_WORDS, NEOPLASM: NEOPLASM_WORDS}]
    clashes = []
    for table in tables:
        for value, spellings in table.items():
            for spelling in split(spellings):
                other = seen.setdefault(spelling.casefold(), str(value))
                if other != str(value):
                    clashes.append(f"{spelling!r}: {other} / {value}")
    if clashes:
        raise SystemExit("one spelling for two values:\n" + "\n".join(clashes))


if __name__ == "__main__":
    check()
    tissues = [*VERTEBRATE, *SMALL_ANIMAL, *PLANT, *(name for name, _ in CELL_LINE)]
    diseases = [HEALTHY, ADJACENT, NEOPLASM, *ALL_DISEASE]
    for title, values in (("organism", list(ORGANISM)), ("tissue", tissues), ("disease", diseases), ("sex", SEXES),
                          ("age_unit", AGE_UNITS), ("assay", list(ASSAY))):
        print(f"- **{title}** ({len(values)}): {', '.join(values)}")
