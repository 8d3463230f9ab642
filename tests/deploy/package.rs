//! What runs it: the image, the compose file's services, the unit, manual pages, the release.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use nightlatch::config::HttpConfig;
use nightlatch::history::{History, Limits};
use nightlatch::serve::{Api, Catalog, Metrics};

use super::*;

/// Runs a program of the system, which says what is wrong on its outputs.
fn ran(command: &mut Command, package: &str) -> (Output, String) {
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "{command:?}: {error}\n\
             run `scripts/install-prerequisites --tests` once (Debian package {package})"
        )
    });
    let words = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8_lossy(&words).into_owned())
}

fn nightlatch(arguments: &[&str]) -> (Output, String) {
    ran(Command::new(env!("CARGO_BIN_EXE_nightlatch")).args(arguments), "none: it is this one")
}

#[test]
fn the_compose_file_is_what_its_schema_wants() {
    const CHECK: &str = "import json, sys, yaml, jsonschema\n\
        validator = jsonschema.Draft202012Validator(json.load(open(sys.argv[1])))\n\
        errors = list(validator.iter_errors(yaml.safe_load(open(sys.argv[2]))))\n\
        [print(error.json_path, error.message) for error in errors]\n\
        sys.exit(len(errors) > 0)";
    let check = |file: &Path| {
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", CHECK]).arg(root().join("tests/fixtures/compose-spec.json")).arg(file);
        ran(&mut python, "python3-jsonschema, python3-yaml")
    };
    let (output, words) = check(&root().join("docker-compose.yml"));
    assert!(output.status.success(), "{words}");
    // The check notices what is wrong.
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.yml");
    fs::write(&wrong, read("docker-compose.yml").replacen("healthcheck:", "healtcheck:", 1))
        .unwrap();
    let (output, words) = check(&wrong);
    assert!(!output.status.success() && words.contains("healtcheck"), "{words}");
}

/// The lines of a service of the compose file, without its name.
fn service<'a>(compose: &'a str, name: &str) -> Vec<&'a str> {
    let services = compose.lines().skip_while(|line| *line != "services:");
    let from = services.skip_while(|line| *line != format!("  {name}:")).skip(1);
    from.take_while(|line| line.is_empty() || line.starts_with("    ")).collect()
}

#[test]
fn the_demo_starts_only_when_it_is_asked_for_and_feeds_a_topic_that_is_read() {
    let compose = read("docker-compose.yml");
    for name in ["demo-events", "demo-feed"] {
        assert!(service(&compose, name).contains(&"    profiles: [\"demo\"]"), "{name}");
    }
    let text = service(&compose, "demo-events").join("\n");
    let command = values(&text, "command").next().unwrap();
    let words: Vec<String> = serde_json::from_str(command).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("events.jsonl");
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    let events = words.iter().position(|word| *word == "--events").unwrap();
    words[events + 1] = "100";
    *words.last_mut().unwrap() = log.to_str().unwrap();
    let (output, said) = nightlatch(&words);
    assert!(output.status.success(), "{said}");
    assert_eq!(fs::read_to_string(log).unwrap().lines().count(), 100);
    let feed = service(&compose, "demo-feed").join("\n");
    let config = nightlatch::config::load(&root().join("deploy/nightlatch.toml")).unwrap();
    assert!(feed.contains(&format!("--topic {}", config.kafka.topics[0])), "{feed}");
}

#[test]
fn services_of_ours_get_only_variables_that_the_program_reads() {
    let compose = read("docker-compose.yml");
    let source = read("src/store/failpoint.rs") + &read("src/cli/terminal.rs");
    for name in ["nightlatch", "demo-events"] {
        let lines = service(&compose, name);
        assert!(lines.len() > 5, "no service {name}");
        let variables = lines.iter().skip_while(|line| line.trim() != "environment:").skip(1);
        for line in variables.take_while(|line| line.starts_with("      ")) {
            let variable = line.trim().split([':', '=']).next().unwrap().trim_start_matches("- ");
            assert!(source.contains(&format!("\"{variable}\"")), "nobody reads {variable}");
        }
    }
}

#[test]
fn health_checks_ask_by_the_program_itself() {
    let compose = service(&read("docker-compose.yml"), "nightlatch").join("\n");
    let test: Vec<String> = serde_json::from_str(values(&compose, "test").next().unwrap()).unwrap();
    let dockerfile = read("Dockerfile");
    let check = dockerfile.lines().skip_while(|line| !line.starts_with("HEALTHCHECK")).nth(1);
    let check: Vec<String> =
        serde_json::from_str(check.unwrap().trim().strip_prefix("CMD ").unwrap()).unwrap();
    assert_eq!(
        test[1..],
        ["nightlatch".to_owned()].into_iter().chain(check[1..].to_vec()).collect::<Vec<_>>()
    );
    assert_eq!(check[0], "/usr/local/bin/nightlatch");
    let config = root().join("deploy/nightlatch.toml").display().to_string();
    let asked = check[1..].iter().map(|word| match word.as_str() {
        "/etc/nightlatch/nightlatch.toml" => config.as_str(),
        word => word,
    });
    // Nobody listens: the arguments are sound, and the answer is that nobody answers.
    let (output, words) = nightlatch(&asked.collect::<Vec<_>>());
    let code = output.status.code();
    assert!(code == Some(69) || code == Some(0) || code == Some(1), "{code:?} {words}");
}

#[test]
fn example_configurations_are_sound() {
    let folder = root().join("examples/configurations");
    let mut n_files = 0;
    for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let config = nightlatch::config::load(&file);
        let config = config.unwrap_or_else(|errors| panic!("{}: {}", file.display(), errors[0]));
        assert!(!config.kafka.topics.is_empty(), "{}", file.display());
        // The unit lets it write there alone.
        assert!(config.state.folder.starts_with("/var/lib/nightlatch"), "{}", file.display());
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(read("docs/install.md").contains(&name), "docs/install.md is silent on {name}");
        n_files += 1;
    }
    assert_eq!(n_files, 3);
}

#[test]
fn alertmanager_and_prometheus_take_their_files() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["deploy/prometheus.yml", "dashboards/alerts.yml"] {
        let name = Path::new(file).file_name().unwrap();
        fs::copy(root().join(file), folder.path().join(name)).unwrap();
    }
    let prometheus = folder.path().join("prometheus.yml");
    let mut promtool = Command::new("promtool");
    let (output, words) = ran(promtool.args(["check", "config"]).arg(prometheus), "prometheus");
    assert!(output.status.success(), "{words}");
    let mut amtool = Command::new("amtool");
    let file = root().join("deploy/alertmanager.yml");
    let (output, words) = ran(amtool.arg("check-config").arg(file), "prometheus-alertmanager");
    assert!(output.status.success(), "{words}");
}

/// The unit, with the program and the configuration where they are here.
fn unit() -> String {
    let unit = read("deploy/nightlatch.service");
    unit.replace("/usr/local/bin/nightlatch", env!("CARGO_BIN_EXE_nightlatch"))
}

#[test]
fn systemd_takes_the_unit_and_finds_it_safe() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nightlatch.service");
    // The page is not installed here.
    fs::write(&file, unit().replace("Documentation=man:nightlatch(1)\n", "")).unwrap();
    let mut verify = Command::new("systemd-analyze");
    let (output, words) = ran(verify.args(["verify", "--man=no"]).arg(&file), "systemd");
    let about: Vec<_> = words.lines().filter(|line| line.contains("nightlatch")).collect();
    assert!(output.status.success() && about.is_empty(), "{words}");
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--threshold=15"]).arg(&file);
    let (output, words) = ran(&mut security, "systemd");
    assert!(output.status.success(), "{words}");
}

#[test]
fn the_commands_of_the_unit_are_those_of_the_program() {
    let unit = read("deploy/nightlatch.service");
    let config = root().join("deploy/nightlatch.toml").display().to_string();
    let commands = ["ExecStartPre=", "ExecStart="].map(|key| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.replace("/etc/nightlatch/nightlatch.toml", &config)
    });
    let check: Vec<&str> = commands[0].split(' ').skip(1).collect();
    let (output, words) = nightlatch(&check);
    assert!(output.status.success(), "{words}");
    // `--help` ends it after the flags were read, and not before the command was found.
    let mut start: Vec<&str> = commands[1].split(' ').skip(1).collect();
    start.push("--no-such-flag");
    let (output, words) = nightlatch(&start);
    assert_eq!(output.status.code(), Some(64));
    assert!(words.contains("'--no-such-flag'"), "{words}");
    let config = nightlatch::config::load(&root().join("deploy/nightlatch.toml")).unwrap();
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    assert!(stop.parse::<u64>().unwrap() > config.state.stop_within.as_secs());
    for line in ["Type=notify", "WatchdogSec=5min", "ExecReload=/bin/kill -HUP $MAINPID"] {
        assert!(unit.lines().any(|other| other == line), "no {line}");
    }
}

/// The names of a command's own commands, as its help lists them.
fn commands(path: &[&str]) -> Vec<String> {
    let help: Vec<&str> = path.iter().copied().chain(["--help"]).collect();
    let (_, words) = nightlatch(&help);
    let listed = words.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| line.starts_with("  "));
    // What stands further to the right goes on from the line above.
    let names = listed.filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn manual_pages_and_completions_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let (output, words) = nightlatch(&["man", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{words}");
    let (_, first) = nightlatch(&["man"]);
    let shells = ["bash", "zsh", "fish", "elvish", "powershell"];
    let scripts = shells.map(|shell| nightlatch(&["completions", shell]).1);
    let all = commands(&[]);
    assert!(all.len() >= 10, "{all:?}");
    for name in &all {
        assert!(first.contains(&format!("nightlatch\\-{name}(1)")), "nightlatch(1): no {name}");
        for script in &scripts {
            assert!(script.contains(name.as_str()), "no {name} in a completion");
        }
        let mut pages = vec![format!("nightlatch-{name}.1")];
        pages.extend(commands(&[name]).iter().map(|inner| format!("nightlatch-{name}-{inner}.1")));
        for page in pages {
            let text = fs::read_to_string(folder.path().join(&page));
            assert!(text.is_ok_and(|text| text.contains(".SH NAME")), "no page {page}");
        }
    }
}

#[test]
fn the_release_pins_what_it_uses() {
    let workflow = read(".github/workflows/release.yml");
    let uses: Vec<&str> =
        workflow.lines().filter_map(|l| l.trim().split_once("uses: ")).map(|(_, u)| u).collect();
    assert!(uses.len() >= 4, "{uses:?}");
    for action in uses {
        let (pin, version) = action.split_once(" # v").unwrap_or_else(|| panic!("{action}"));
        let (_, commit) = pin.split_once('@').unwrap();
        assert!(commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{action}");
        assert_eq!(version.split('.').count(), 3, "{action}");
    }
    let container = values(&workflow, "container").next().unwrap();
    assert!(is_pinned(container.trim_end_matches("-bookworm")), "{container}");
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] {
        assert!(workflow.contains(target), "no {target}");
    }
    let prerequisites = workflow.split("apt-get install").nth(1).unwrap();
    assert!(prerequisites.contains("libssl-dev"), "{prerequisites}");
}

#[test]
fn a_package_holds_what_belongs_beside_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let mut package = Command::new(root().join("scripts/package"));
    let name = format!("test-{}", std::process::id());
    package.args([env!("CARGO_BIN_EXE_nightlatch"), &name]);
    let (output, words) = ran(&mut package, "none: it is a script");
    assert!(output.status.success(), "{words}");
    let archive = root().join(words.lines().last().unwrap());
    let mut tar = Command::new("tar");
    let unpacked = tar.arg("-xzf").arg(&archive).arg("-C").arg(folder.path());
    assert!(ran(unpacked, "tar").0.status.success());
    fs::remove_file(archive).unwrap();
    for file in [
        "bin/nightlatch",
        "share/man/man1/nightlatch-run.1",
        "share/completions/_nightlatch",
        "deploy/nightlatch.service",
        "examples/configurations/small.toml",
        "install.md",
        "LICENSE",
    ] {
        let path = folder.path().join(&name).join(file);
        assert!(fs::metadata(&path).is_ok_and(|file| file.len() > 0), "no {file}");
    }
}

/// What the compose file's service `passwords` runs, in a folder of a test. Only root may give files to
/// other users.
fn make_passwords(folder: &Path) {
    let compose = read("docker-compose.yml");
    let lines = service(&compose, "passwords").into_iter();
    let script = lines.skip_while(|line| line.trim() != "- |").skip(1);
    let script: Vec<&str> = script.take_while(|line| line.starts_with("        ")).collect();
    let script = script.join("\n").replace("$$", "$");
    assert!(script.contains("chown -R 64100 nightlatch"), "{script}");
    let script = script.replace("/passwords", &folder.display().to_string());
    let script: Vec<&str> = script.lines().filter(|line| !line.contains("chown")).collect();
    let made = Command::new("/bin/bash").args(["-euc", &script.join("\n")]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(
        String::from_utf8_lossy(&made.stdout).contains("tokens of the API: docker compose run")
    );
}

#[test]
fn the_compose_file_makes_the_secrets_that_its_configuration_names() {
    let folder = tempfile::tempdir().unwrap();
    make_passwords(folder.path());
    let toml = read("deploy/nightlatch.toml");
    let named = toml.split("\"/run/secrets/").skip(1).filter_map(|rest| rest.split('"').next());
    let named: Vec<_> = named.map(|name| folder.path().join("nightlatch").join(name)).collect();
    assert_eq!(named.len(), 2, "password of the database, tokens of the API");
    let texts: Vec<String> = named.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    for path in &named {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o400, "{path:?}");
    }
    let tokens = folder.path().join("nightlatch/tokens");
    let roles = fs::read_to_string(&tokens).unwrap();
    let roles: Vec<&str> = roles.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(roles, ["read", "write"]);
    let limits = Limits { retention: Duration::from_secs(3600), rows_max: 1 };
    let history = Arc::new(History::new(&folder.path().join("history.sqlite"), limits));
    let http = HttpConfig { tokens_file: Some(tokens), ..HttpConfig::default() };
    let metrics = Metrics::new().unwrap().history;
    Api::new(history, &http, metrics, Catalog::default()).expect("the program takes the tokens");
    make_passwords(folder.path());
    let again: Vec<String> = named.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!(again, texts, "a second start changes nothing");
}
