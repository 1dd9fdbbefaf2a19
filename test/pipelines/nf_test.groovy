// Runs the *.nf.test files of our modules with the Nextflow that NEXTFLOW names. nf-test itself, which is what nf-core runs them with, lies
// on no package registry; this knows as much of its language as the files use, and its form of snapshots.
//   nf_test.groovy [--update] [--only TEST] FILE.nf.test...     --update writes what came out instead of comparing
// A test's process gets `input`, runs, and its output channels are compared, files by md5. Exit 1 with the differences.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.Paths
import java.security.MessageDigest

// One block of the file: takes its settings as `name value` and its blocks as `name { }`; the paths that nf-test names are there.
class Block {
    Path file
    Map settings = [:]
    List tests = [], setups = []

    Block(Path file) { this.file = file }
    Block(Path file, Closure body) { this(file); fill(body) }
    String getModuleDir() { file.parent.parent }
    String getModuleTestDir() { file.parent }
    void fill(Closure body) { body.delegate = this; body.resolveStrategy = Closure.DELEGATE_FIRST; body.call() }

    void setup(Closure body) { fill(body) }
    void when(Closure body) { fill(body) }
    void run(String process, Closure body) { def b = new Block(file, body); b.settings.process = process; setups << b }
    void test(String name, Closure body) { tests << [name: name, block: new Block(file, body)] }
    void process(Closure body) { settings.inputs = textOf(body) }
    void params(Closure body) { def values = [:]; body.delegate = values; body.resolveStrategy = Closure.DELEGATE_ONLY; body.call(); settings.params = values }
    void then(Closure body) { settings.then = body }
    def methodMissing(String name, args) { if (args.size() != 1) throw new MissingMethodException(name, Block, args); settings[name] = args[0] }
    private String textOf(Closure body) { body.delegate = this; body.resolveStrategy = Closure.DELEGATE_FIRST; body.call().toString() }
}

// What a `then` block sees.
class Outcome {
    Map process
    Closure compare
    def snapshot(Object... values) { [match: { -> compare(values.toList()) }] }
    void assertAll(Closure... checks) { checks.each { it.delegate = this; it.resolveStrategy = Closure.DELEGATE_FIRST; it.call() } }
}

String md5(Path file) { MessageDigest.getInstance('MD5').digest(Files.readAllBytes(file)).encodeHex() }

def snapshotForm(value) {
    if (value instanceof Map) return new TreeMap(value.collectEntries { k, v -> [k.toString(), snapshotForm(v)] })
    if (value instanceof List) return value.collect { snapshotForm(it) }
    def file = value instanceof String && value.startsWith('/') ? Paths.get(value) : null
    return file && Files.isRegularFile(file) ? "${file.fileName}:md5,${md5(file)}".toString() : value
}

// A workflow that gives the processes their inputs and writes the last one's channels, by number and by name, as JSON lists of
// what they emitted.
String workflowOf(Path file, List<Map> steps, Path results) {
    def includes = steps.collect { "include { ${it.process} } from '${file.parent.resolve(it.script).normalize()}'\n" }.join()
    def calls = steps.collect { "    input = []\n${it.inputs}\n    ${it.process}(*input)\n" }.join()
    """nextflow.preview.topic = true
${includes}
def plain(value) { value instanceof java.nio.file.Path ? value.toString() : value instanceof List ? value.collect { plain(it) } : value }
def keep(name, channel) { channel.toList().subscribe { file("${results}/\${name}.json").text = groovy.json.JsonOutput.toJson(plain(it)) } }

workflow {
${calls}
    out = ${steps.last().process}.out
    out.eachWithIndex { channel, i -> keep(i, channel) }
    out.getNames().each { name -> keep(name, out."\$name") }
}
"""
}

Map runTest(Block top, Block test, Path scratch) {
    def results = Files.createDirectories(scratch.resolve('results'))
    def steps = (top.setups + test.setups)*.settings + [[process: top.settings.process, script: top.settings.script, inputs: test.settings.inputs]]
    scratch.resolve('main.nf').text = workflowOf(top.file, steps, results)
    scratch.resolve('params.json').text = JsonOutput.toJson(test.settings.params ?: [:])
    def words = [System.getenv('NEXTFLOW'), '-q', 'run', 'main.nf', '-params-file', 'params.json', '-ansi-log', 'false']
    [top, test].each { if (it.settings.config) words += ['-c', "${it.file.parent.resolve(it.settings.config)}"] }
    if (test.settings.options) words += test.settings.options.tokenize()
    def log = scratch.resolve('output.txt').toFile()
    def running = new ProcessBuilder(words*.toString()).directory(scratch.toFile()).redirectErrorStream(true).redirectOutput(log)
    running.environment().remove('NXF_MAIN')
    int status = running.start().waitFor()
    if (status) print log.text
    def out = new TreeMap()
    results.toFile().listFiles().each { out[it.name - '.json'] = new JsonSlurper().parse(it) }
    [success: status == 0, exitStatus: status, out: out]
}

boolean update = false
String only = null
int failed = 0, passed = 0
def files = []
for (def words = args.toList(); words;) {
    def word = words.remove(0)
    if (word == '--update') update = true
    else if (word == '--only') only = words.remove(0)
    else files << Paths.get(word).toAbsolutePath().normalize()
}
files.each { Path file ->
    def top = null
    def shell = new GroovyShell(new Binding(nextflow_process: { Closure body -> top = new Block(file, body) }))
    shell.evaluate(file.toFile())
    def snapFile = file.resolveSibling("${file.fileName}.snap").toFile()
    def snaps = snapFile.exists() ? new JsonSlurper().parse(snapFile) : [:]
    top.tests.findAll { only == null || it.name == only }.each { test ->
        def scratch = Files.createTempDirectory(Paths.get('').toAbsolutePath(), 'nf-test-')
        def compare = { List values ->
            def found = new JsonSlurper().parseText(JsonOutput.toJson(snapshotForm(values)))
            if (update) snaps[test.name] = [content: found, timestamp: new Date().format("yyyy-MM-dd'T'HH:mm:ss"), meta: [nextflow: '24.10.0']]
            def wanted = snaps[test.name]?.content
            if (found == wanted) return true
            println "expected: ${JsonOutput.toJson(wanted)}\nfound:    ${JsonOutput.toJson(found)}"
            return false
        }
        try {
            new Outcome(process: runTest(top, test.block, scratch), compare: compare).with { outcome ->
                def then = test.block.settings.then
                then.delegate = outcome
                then.resolveStrategy = Closure.DELEGATE_FIRST
                then.call()
            }
            passed++
            println "PASSED: ${top.settings.process}: ${test.name}"
        } catch (Throwable e) {
            failed++
            println "FAILED: ${top.settings.process}: ${test.name}: ${e.message}"
        }
    }
    if (update) snapFile.text = JsonOutput.prettyPrint(JsonOutput.toJson(snaps)) + '\n'
}
println "$passed passed, $failed failed"
System.exit(failed || !passed ? 1 : 0)
