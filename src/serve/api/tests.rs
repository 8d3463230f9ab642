//! The document and the routes are the same ones.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::*;
use crate::history::Limits;
use crate::serve::{Metrics, Server};

fn api() -> (tempfile::TempDir, Api) {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { retention: std::time::Duration::from_secs(1), rows_max: 1 };
    let history = Arc::new(History::new(&folder.path().join("history.sqlite"), limits));
    let metrics = Metrics::new().unwrap().history;
    let api = Api::new(history, &HttpConfig::default(), metrics, Catalog::default()).unwrap();
    (folder, api)
}

#[test]
fn the_document_has_every_path_and_method_and_no_other() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], "1");
    assert_eq!(document["servers"][0]["url"], ROOT);
    let paths = document["paths"].as_object().unwrap();
    let documented: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    let routed: BTreeSet<&str> = routes().iter().map(|(path, _)| *path).collect();
    assert_eq!(documented, routed);
    let (_folder, api) = api();
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let server = Server::start_with(address, metrics, Arc::default(), Some(&api)).unwrap();
    for (path, operations) in paths {
        let mut documented: Vec<String> =
            operations.as_object().unwrap().keys().map(|key| key.to_lowercase()).collect();
        documented.retain(|key| key != "parameters");
        let uri = format!("{ROOT}{}", path.replace("{id}", &"0".repeat(32)));
        let answer = delete(server.address(), &uri);
        assert!(answer.starts_with("http/1.1 405"), "{path}: {answer}");
        assert!(answer.contains("content-type: application/problem+json"), "{path}: {answer}");
        let allowed = answer.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap();
        let allowed: Vec<&str> = allowed.split(',').filter(|method| *method != "head").collect();
        assert_eq!(documented, allowed, "{path}");
    }
}

/// Status line and headers in lower case.
fn delete(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "Host: localhost\r\nConnection: close\r\n\r\n";
    write!(stream, "DELETE {path} HTTP/1.1\r\n{head}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.to_lowercase()
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let mut n_references = 0;
    let mut waiting = vec![&document];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(object) => {
                if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
                    let place = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(place).is_some(), "{reference}");
                    n_references += 1;
                }
                waiting.extend(object.values());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    assert!(n_references > 20, "{n_references}");
}

#[test]
fn an_address_that_others_reach_needs_tokens() {
    let (folder, _) = api();
    let limits = Limits { retention: std::time::Duration::from_secs(1), rows_max: 1 };
    let history = Arc::new(History::new(&folder.path().join("h"), limits));
    let http = HttpConfig { listen: "0.0.0.0:0".parse().unwrap(), tokens_file: None };
    let error = Api::new(history, &http, Metrics::new().unwrap().history, Catalog::default());
    assert!(error.unwrap_err().message.contains("needs tokens"));
}
