"""The generated part of the site: a page for each thing whose reference is in the code.

It is generated whenever the site is built, and is in no commit: there is no copy that could fall behind the code.
"""

import json
from collections.abc import Callable

from lockstep.cli.main import app
from lockstep.specs.loading import json_schema
from lockstep.specs.serving_spec import Serving
from lockstep.specs.spec import ScoringSpec
from tools.docs import api, commands, fields, variables

EDITORS = """\
Editors that know [yaml-language-server](https://github.com/redhat-developer/yaml-language-server) complete and check
the file while it is written, if its first line names the [JSON Schema]({schema}), saved beside it:

```yaml
# yaml-language-server: $schema={schema}
```
"""
SPEC_INTRODUCTION = f"""\
The keys of `models/NAME/scoring.yaml`, from the models that read it. `lockstep spec validate` checks a file, and
`lockstep spec show NAME` prints one with its defaults.

{EDITORS.format(schema="scoring.schema.json")}
`lockstep spec schema > scoring.schema.json` writes that of the installed version."""
SERVING_INTRODUCTION = f"""\
The keys of `serving.yaml`, which `lockstep serve --config serving.yaml` reads. What they are for is in
[The endpoint](../endpoint.md).

{EDITORS.format(schema="serving.schema.json")}"""

REFERENCE: dict[str, Callable[[], str]] = {
    "spec.md": lambda: fields.reference(ScoringSpec, title="scoring.yaml", introduction=SPEC_INTRODUCTION),
    "scoring.schema.json": json_schema,
    "serving.md": lambda: fields.reference(Serving, title="serving.yaml", introduction=SERVING_INTRODUCTION),
    "serving.schema.json": lambda: json.dumps(Serving.model_json_schema(), indent=2),
    "commands.md": lambda: commands.reference(app),
    "python.md": api.reference,
    "settings.md": variables.reference,
}
