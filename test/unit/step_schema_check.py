"""Checks manifests/step.schema.json against manifests as JSON. Usage: step_schema_check.py SCHEMA FOLDER

Each FOLDER/*.json is {"valid": bool, "manifest": ...}. Exit status: 0 the schema agrees with all, 1 it does not, 77 no jsonschema.
"""
import json
import pathlib
import sys

try:
    import jsonschema
except ImportError:
    sys.exit(77)

schema = json.loads(pathlib.Path(sys.argv[1]).read_text())
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
cases = sorted(pathlib.Path(sys.argv[2]).glob("*.json"))
wrong = 0
for path in cases:
    case = json.loads(path.read_text())
    errors = [f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(case["manifest"])]
    if case["valid"] == bool(errors):
        wrong += 1
        print(f"{path.stem}: the reader says {'valid' if case['valid'] else 'invalid'}, the schema: {errors[:3] or 'valid'}")
print(f"{len(cases)} manifests, {wrong} disagreements")
sys.exit(1 if wrong or not cases else 0)
