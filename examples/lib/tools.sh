# Sourced after build.sh: workflow engines and reporters that the examples and tests run, each of one fixed version, put into
# $build/tools once, by one process at a time. Each function sets a variable or fails, having said why; nothing is put anywhere else.

tools=$build/tools

# installed FOLDER WHAT COMMAND...: COMMAND has put WHAT into FOLDER, now or before; what it leaves when it fails is removed. Tests that
# need the same engine at the same time wait for one another.
installed() {
  local folder=$1 what=$2
  shift 2
  mkdir -p "$tools"
  {
    flock 9
    [ "$(cat "$folder/complete" 2>/dev/null)" = "$what" ] && return 0
    rm -rf "$folder"
    "$@" || { rm -rf "$folder"; return 1; }
    printf '%s\n' "$what" >"$folder/complete"
  } 9>"$folder.lock"
}

# need_pip_tool NAME COMMAND SPEC...: a Python program in a virtual environment of its own; sets tool to COMMAND's path.
need_pip_tool() {
  local venv=$tools/$1
  tool=$venv/bin/$2
  shift 2
  installed "$venv" "$*" fetch_pip_tool "$venv" "$@"
}
fetch_pip_tool() {
  local venv=$1
  shift
  need_packages python3 python3-venv || return 1
  say "fetching $* with pip into $venv"
  python3 -m venv "$venv" >&2 && "$venv/bin/pip" install -q --disable-pip-version-check "$@" >&2 || { say "pip cannot fetch $*"; return 1; }
}

need_snakemake() { need_pip_tool snakemake snakemake snakemake==9.27.1 && snakemake=$tool; }
need_cwltool() { need_pip_tool cwltool cwltool cwltool==3.3.20260925135507 && cwltool=$tool; }
need_multiqc() { need_pip_tool multiqc multiqc multiqc==1.35 && multiqc=$tool; }
need_rattler() { need_pip_tool rattler python py-rattler-build==0.73.0 && rattler=$tool; }      # its module; the package has no program

# need_nextflow: sets nextflow to its command. All of Nextflow lies on Maven Central up to 24.10.0; later versions lack a part there.
need_nextflow() {
  nextflow=$tools/nextflow/nextflow
  installed "$tools/nextflow" 24.10.0 fetch_nextflow "$tools/nextflow"
}
fetch_nextflow() {
  local folder=$1 opens= p
  need_packages maven procps || return 1
  say "fetching Nextflow 24.10.0 with Maven into $folder"
  mkdir -p "$folder/home"
  cat >"$folder/pom.xml" <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion> <groupId>local</groupId> <artifactId>nextflow-jars</artifactId> <version>1</version>
  <dependencies>
    <dependency> <groupId>io.nextflow</groupId> <artifactId>nextflow</artifactId> <version>24.10.0</version> </dependency>
  </dependencies>
</project>
XML
  mvn -q -B -C -f "$folder/pom.xml" -Dmaven.repo.local="$folder/repository" \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory="$folder/lib" >&2 ||
    { say "Maven cannot fetch Nextflow 24.10.0"; return 1; }
  rm -rf "$folder/repository"
  # Without access to these packages of the JDK Nextflow runs its tasks and keeps no cache of them: -resume reuses nothing.
  for p in lang io nio net util util.concurrent.locks util.concurrent.atomic util.regex; do opens+=" --add-opens=java.base/java.$p=ALL-UNNAMED"; done
  for p in ch fs; do opens+=" --add-opens=java.base/sun.nio.$p=ALL-UNNAMED"; done
  for p in http https ftp file; do opens+=" --add-opens=java.base/sun.net.www.protocol.$p=ALL-UNNAMED"; done
  for p in misc vm; do opens+=" --add-opens=java.base/jdk.internal.$p=ALL-UNNAMED"; done
  cat >"$nextflow" <<SH
#!/bin/sh
export NXF_OFFLINE=true NXF_HOME='$folder/home'
exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx1g$opens -cp '$folder/lib/*' \${NXF_MAIN:-nextflow.cli.Launcher} "\$@"
SH
  chmod +x "$nextflow"
}
