//! Signals, ports and brokers.

use super::*;

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

#[test]
fn ctrl_c_ends_a_replay_with_what_was_found() {
    let folder = folder();
    let arguments = ["replay", "-", "--rules", "rules"];
    let mut child = program(folder.path(), &arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(failures("192.0.2.1", 200).as_bytes()).unwrap();
    // The first alert is out: the program reads, and waits for more.
    let mut out = child.stdout.take().unwrap();
    let mut first = [0];
    out.read_exact(&mut first).unwrap();
    signal(&child, "-INT");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let ran = ran(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 130, "{}", ran.err);
    assert!(ran.err.contains("alerts        1"), "{}", ran.err);
    // How much was read by then is chance; what was read is told to the end.
    assert!(rest.contains("\"status\":\"updated\""), "{rest}");
    drop(stdin);
}

#[test]
fn ctrl_c_ends_the_wait_for_the_first_byte() {
    let folder = folder();
    for arguments in [
        &["replay", "-", "--rules", "rules"][..],
        &["rules", "run", "three_failures", "-", "--rules", "rules"],
    ] {
        let mut child = program(folder.path(), arguments).stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        // A signal that comes before anybody listens would end the program as well, by itself.
        wait_for_listener(&child);
        signal(&child, "-INT");
        let ran = ran(child.wait_with_output().unwrap());
        assert_eq!(ran.code, 130, "{arguments:?}: {}", ran.err);
        drop(stdin);
    }
}

/// Waits until the program handles SIGINT itself.
fn wait_for_listener(child: &Child) {
    let path = format!("/proc/{}/status", child.id());
    let handles = |status: &str| {
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0
    };
    let started = Instant::now();
    while !handles(&fs::read_to_string(&path).unwrap()) {
        assert!(started.elapsed() < Duration::from_secs(60), "it never listens");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A configuration of `run`.
fn live_config(folder: &Path, brokers: &str, listen: &str) {
    let text = format!(
        "rules = \"rules\"\n[kafka]\nbrokers = \"{brokers}\"\ntopics = [\"events\"]\n\
         patience = \"1 second\"\n[http]\nlisten = \"{listen}\"\n"
    );
    write(folder, "run.toml", text);
}

#[test]
fn a_port_in_use_is_told() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    live_config(folder.path(), "127.0.0.1:1", &address);
    let ran = run(folder.path(), &["run", "--config", "run.toml"]);
    assert_eq!(ran.code, 69, "{}", ran.err);
    let expected = format!("error: http.listen: cannot listen on {address}\n  detail: ");
    assert!(ran.err.contains(&expected), "{}", ran.err);
    assert!(ran.err.contains("hint: stop the program that holds the port"), "{}", ran.err);
}

#[test]
fn a_broker_that_is_not_there_is_waited_for_and_told() {
    let folder = folder();
    live_config(folder.path(), "127.0.0.1:1", "127.0.0.1:0");
    let started = Instant::now();
    let ran = run(folder.path(), &["run", "--config", "run.toml"]);
    assert_eq!(ran.code, 69, "{}", ran.err);
    assert!(started.elapsed() >= Duration::from_secs(1), "patience was not kept");
    let expected = "error: kafka.brokers: no Kafka broker answers at 127.0.0.1:1\n  detail: ";
    assert!(ran.err.contains(expected), "{}", ran.err);
    assert!(ran.err.contains("hint: start the broker"), "{}", ran.err);
}

#[test]
fn a_secret_file_that_cannot_be_used_is_told_before_a_broker_is_waited_for() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder();
    live_config(folder.path(), "127.0.0.1:1", "127.0.0.1:0");
    let sound = fs::read_to_string(folder.path().join("run.toml")).unwrap();
    let open = write(folder.path(), "open", "https://example.org/hush");
    fs::set_permissions(open, fs::Permissions::from_mode(0o644)).unwrap();
    let odd = write(folder.path(), "odd", "hush");
    fs::set_permissions(odd, fs::Permissions::from_mode(0o600)).unwrap();
    for (file, expected) in [
        ("gone", ["the secret file cannot be read", "No such file", "hint: "]),
        ("open", ["open to others", "its mode is 0644", "hint: chmod 600 open"]),
        ("odd", ["no http or https URL", "relative URL", "hint: write https://"]),
    ] {
        let soc =
            format!("[[destination]]\nname = \"soc\"\ntype = \"slack\"\nurl_file = \"{file}\"\n");
        write(folder.path(), "run.toml", format!("{sound}{soc}"));
        let ran = run(folder.path(), &["run", "--config", "run.toml"]);
        assert_eq!(ran.code, 64, "{}", ran.err);
        let place = format!("error: {file} (destination.url_file): ");
        for text in expected.iter().copied().chain([&*place, "the destination `soc`"]) {
            assert!(ran.err.contains(text), "{file}: no {text:?} in {}", ran.err);
        }
        assert!(!ran.err.contains("waiting for a Kafka broker"), "{}", ran.err);
        assert!(!ran.err.contains("hush"), "{}", ran.err);
    }
}

#[test]
fn a_stop_while_waiting_for_a_broker_ends_in_good_order() {
    let folder = folder();
    live_config(folder.path(), "127.0.0.1:1", "127.0.0.1:0");
    let path = folder.path().join("run.toml");
    let patient = fs::read_to_string(&path).unwrap().replace("1 second", "5 minutes");
    fs::write(&path, patient).unwrap();
    let mut child = program(folder.path(), &["run", "--config", "run.toml"]).spawn().unwrap();
    // The listener is up when the log names it; then the program waits for the broker.
    let mut err = child.stderr.take().unwrap();
    let (mut log, mut piece) = (String::new(), [0; 4096]);
    while !log.contains("waiting for a Kafka broker") {
        let n_bytes = err.read(&mut piece).unwrap();
        assert!(n_bytes > 0, "ended early: {log}");
        log.push_str(&String::from_utf8_lossy(&piece[..n_bytes]));
    }
    signal(&child, "-TERM");
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
}
