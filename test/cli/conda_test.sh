# The conda recipe: rattler-build renders it, and builds and tests a package from it. No conda channel is asked: the requirements are
# compared as text, and the package gets the program under test instead of one that conda's compilers make.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
build=$(dirname "$ibid")
IBID_BUILD=$build
. "$root/examples/lib/build.sh"
. "$root/examples/lib/tools.sh"
need_rattler 2>err.txt || { echo "SKIPPED: rattler-build cannot be had: $(tail -n 1 err.txt)"; exit 77; }
recipe=$root/examples/packages/conda/recipe.yaml

cat >conda.py <<'P'
import sys
from rattler_build import PlatformConfig, RenderConfig, Stage0Recipe, ToolConfiguration, VariantConfig
action, path = sys.argv[1:]
recipe = Stage0Recipe.from_file(path)
config = RenderConfig(platform=PlatformConfig(target_platform="linux-64"))
if action == "render":
    [variant] = recipe.render(VariantConfig({"c_stdlib": ["sysroot"], "c_stdlib_version": ["2.17"]}), config)
    rendered = variant.recipe.to_dict()
    print(rendered["package"]["version"])
    for kind in "build", "host":
        print(kind, *rendered["requirements"][kind], sep=", ")
else:
    for result in recipe.run_build(tool_config=ToolConfiguration(test_strategy="native"), output_dir="output", channels=[], render_config=config):
        print("built", result.name, result.version)
P
exits 0 "$rattler" conda.py render "$recipe"
same "rendered" "$("$ibid" --version | cut -d ' ' -f 2)
build, gxx_linux-64, sysroot_linux-64 2.17.*, cmake >=3.24, ninja
host, libarchive, openssl, yaml-cpp, zlib" "$out"

# small SCRIPT: the recipe without requirements, with another script, and without changing how libraries are found (patchelf does that).
small() {
  sed -e '/^requirements:/,/^$/d' -e "s,path: \.\./\.\./\.\.,path: $root," -e '/- cmake -/d' \
      -e 's/^  script:/  dynamic_linking:\n    binary_relocation: false\n&/' "$recipe" |
    awk -v script="$1" '{ print } /^  script:/ { print "    - " script }'
}
small "cmake --install $build --prefix \$PREFIX" >recipe.yaml
exits 0 "$rattler" conda.py build recipe.yaml
holds "built" "$out" "built ibid"
same "one package" 1 "$(find output/linux-64 -name 'ibid-*.conda' | wc -l)"
# Controls: a recipe that installs no manual page, or a program that does not run, makes no package.
small "cmake --install $build --prefix \$PREFIX; rm \$PREFIX/share/man/man1/ibid.1.gz" >recipe.yaml
exits 1 "$rattler" conda.py build recipe.yaml
holds "control: a missing file" "$err" "ibid.1.gz"
small "cmake --install $build --prefix \$PREFIX; printf '#!/bin/false' >\$PREFIX/bin/ibid" >recipe.yaml
exits 1 "$rattler" conda.py build recipe.yaml
done_ok
