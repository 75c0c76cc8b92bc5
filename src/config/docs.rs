//! docs/configuration.md, made from the table of settings.

use std::fmt::Write;

use super::render::of_group;
use super::section::parts;
use super::settings::{Group, Setting, default_of};

const HEAD: &str = "\
# Configuration

<!-- Made from the table of settings by `gaugecast config docs`; a test holds it equal to the code. -->

Every setting has a flag, an environment variable and, but for those about the file itself, a key in the
configuration file. **A flag wins over the environment, that over the file, that over the default.**
`gaugecast config show --origin` prints what is in force and who set it.

## The file

YAML in Prometheus' shape. It is `gaugecast.yml` in the working directory, if there is one, or what `--config.file`
names; a file that is named must exist. `gaugecast config default` prints one with every setting,
`gaugecast config schema` prints a JSON Schema for editors, and `gaugecast check config [FILE]` checks one.

```yaml
global:
  tick: 500ms
web:
  listen_address: [127.0.0.1:7171, '[::1]:7171']
collectors:
  hwmon: false                        # short for hwmon: {enabled: false}
  filesystem:
    mount_points_exclude: ^/(dev|proc|sys)($|/)
log:
  level: ${LOG_LEVEL:-info}
```

- **Durations** are whole numbers with the units y w d h m s ms, largest first: `500ms`, `1m30s`. **Sizes** are whole
  numbers with B, KiB, MiB, GiB, TiB; KB, MB, GB, TB mean the same, base 1024, as in Prometheus.
- **`${NAME}`** in a value stands for the environment variable, which must be set; `${NAME:-default}` has a default for
  one that is unset or empty. `$${` is `${` itself. Any other `$` needs no care.
- **Lists** may be written as one value. Anchors and aliases work; tags, merge keys and several documents do not.
- **Mistakes** are all told at once, as `file:line:column: message` with the line, and nothing starts: an unknown key, a
  key given twice, a wrong type, a value out of bounds, an undefined variable. Keys of a Prometheus
  configuration that this version does not support are refused by name where they are of scraping, rules, alerts and sending;
  others, `tracing` among them, get a warning.

## Flags and environment

Flags are written as in all Prometheus programs, `--web.listen-address=:7171`. A boolean is `--flag`, `--flag=false` or
`--no-flag`. A repeatable flag is given several times; its variable has the values with commas between. An empty variable
counts as not set.

`GAUGECAST_LOG`, or else `RUST_LOG`, refines `log.level` by module (`gaugecast::stream=debug`). A level
given by flag or `GAUGECAST_LOG_LEVEL` is not changed by a bare level in there.

## Listening beyond this machine

An address that others can reach is refused unless `--web.token-file` says who may do what ([admin.md](admin.md)), or
`--web.insecure-no-auth` that anyone there may read everything.

## Settings
";

/// The whole page.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    for group in Group::ALL {
        let _ = writeln!(page, "\n### {}\n", group.title());
        if group == Group::Collectors {
            let _ = writeln!(
                page,
                "Every collector has a switch, `--collector.NAME` and `--no-collector.NAME`; filters are regular expressions \
                 with\nnode_exporter's names and meaning.\n"
            );
        }
        let _ = writeln!(page, "| flag, variable, key | type | default | what |\n| --- | --- | --- | --- |");
        for setting in of_group(group) {
            let _ = writeln!(page, "{}", line(setting));
        }
    }
    let _ = writeln!(
        page,
        "\n### Structured parts of the file\n\nThese are only in the file. A relative path in them is relative to the folder of \
         the file.\n\n| key | what |\n| --- | --- |"
    );
    for part in parts() {
        let _ = writeln!(page, "| `{}` | {} |", part.key, part.help);
    }
    page
}

fn line(setting: &Setting) -> String {
    let names = [Some(format!("--{}", setting.flag)), Some(setting.env()), setting.key.clone()];
    let names: Vec<String> = names.into_iter().flatten().map(|name| format!("`{name}`")).collect();
    let default = default_of(setting).line();
    let default = if default.is_empty() { String::new() } else { code(&default) };
    let kind = setting.field.describe();
    format!("| {} | {kind} | {default} | {} |", names.join("<br>"), setting.help)
}

/// Code in a cell of a table: a bar would end the cell.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}
