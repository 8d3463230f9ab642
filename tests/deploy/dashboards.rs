//! The dashboards as files, held against the rules of Grafana's dashboard-linter and our own.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::boards::{Dashboard, Query, SCHEMA, all};
use crate::{exported, metric_names, read};

const PROMETHEUS: &str = "prometheus";
const POSTGRESQL: &str = "grafana-postgresql-datasource";
/// Beside the variable's kind, a dashboard names the other source by its provisioned uid.
const FIXED: [&str; 1] = ["nightlatch-postgresql"];

fn kind(dashboard: &Dashboard) -> &str {
    dashboard.variables()[0]["query"].as_str().unwrap()
}

fn names(dashboard: &Dashboard) -> Vec<&str> {
    dashboard.variables().iter().map(|variable| variable["name"].as_str().unwrap()).collect()
}

#[test]
fn every_dashboard_is_there_and_belongs_to_no_installation() {
    let dashboards = all();
    let found: Vec<&str> = dashboards.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(found, ["account", "incident", "pipeline", "rules", "triage"]);
    for Dashboard { name, json } in &dashboards {
        assert!(json["id"].is_null(), "{name}: an id belongs to one installation");
        assert_eq!(json["uid"], format!("nightlatch-{name}"));
        assert_eq!(json["editable"], false, "{name}");
        assert_eq!(json["title"], format!("Nightlatch: {name}"));
        assert!(json["description"].as_str().is_some_and(|text| text.len() > 20), "{name}");
        assert_eq!(json["tags"], serde_json::json!(["nightlatch"]), "{name}: links go by the tag");
        assert_eq!(json["timezone"], "utc", "{name}");
        for forbidden in ["__inputs", "__requires", "gnetId"] {
            assert!(json.get(forbidden).is_none(), "{name}: {forbidden}");
        }
    }
}

/// template-datasource, template-job, template-instance, template-label-promql,
/// template-on-time-change-reload.
#[test]
fn variables_choose_one_source_and_follow_the_time_range() {
    for dashboard in &all() {
        let name = &dashboard.name;
        let sources: Vec<&Value> =
            dashboard.variables().iter().filter(|one| one["type"] == "datasource").collect();
        assert_eq!(sources.len(), 1, "{name}");
        assert_eq!(
            (&sources[0]["name"], &sources[0]["label"]),
            (&"datasource".into(), &"Data source".into())
        );
        assert!([PROMETHEUS, POSTGRESQL].contains(&kind(dashboard)), "{name}");
        if kind(dashboard) == PROMETHEUS {
            assert_eq!(names(dashboard)[..3], ["datasource", "job", "instance"], "{name}");
        }
        for variable in dashboard.variables() {
            let place = format!("{name}: variable {}", variable["name"]);
            assert!(variable["label"].as_str().is_some_and(|label| !label.is_empty()), "{place}");
            if variable["type"] != "query" {
                continue;
            }
            assert_eq!(variable["refresh"], 2, "{place}: not read again when the time changes");
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{place}");
            if kind(dashboard) == PROMETHEUS {
                let query = variable["query"]["query"].as_str().unwrap();
                assert!(query.starts_with("label_values(nightlatch_"), "{place}: {query}");
                assert_eq!(variable["allValue"], ".+", "{place}");
                let metric = metric_names(query).next().unwrap();
                assert!(exported().contains(metric), "{place}: nobody exports {metric}");
            }
        }
    }
}

/// panel-title-description, panel-units, panel-datasource, panel-no-targets.
#[test]
fn panels_say_what_they_show_in_which_unit_and_from_where() {
    for dashboard in &all() {
        let mut ids = BTreeSet::new();
        assert!(!dashboard.panels().is_empty());
        for panel in dashboard.panels() {
            let place = format!("{}: {}", dashboard.name, panel["title"]);
            assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{place}");
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{place}: two panels with one id");
            assert!(panel["description"].as_str().is_some_and(|text| text.len() > 10), "{place}");
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
            assert!(unit.is_some_and(|unit| !unit.is_empty()), "{place}: no unit");
            let source = &panel["datasource"];
            let uid = source["uid"].as_str().unwrap();
            let is_own = uid == "${datasource}" && source["type"] == kind(dashboard);
            assert!(is_own || FIXED.contains(&uid), "{place}: {source}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{place} asks nothing");
            assert!(targets.iter().all(|target| target["datasource"] == *source), "{place}");
        }
    }
}

#[test]
fn panels_do_not_overlap() {
    for dashboard in &all() {
        let mut taken = BTreeSet::new();
        for panel in dashboard.json["panels"].as_array().unwrap() {
            let part = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            for x in part("x")..part("x") + part("w") {
                assert!(x < 24, "{}: {} is too wide", dashboard.name, panel["title"]);
                for y in part("y")..part("y") + part("h") {
                    assert!(taken.insert((x, y)), "{}: {}", dashboard.name, panel["title"]);
                }
            }
        }
    }
}

/// target-promql, target-rate-interval, target-job, target-instance, target-counter-agg; that each is
/// PromQL is seen by a real Prometheus.
#[test]
fn promql_asks_for_metrics_that_are_exported_and_in_a_sound_way() {
    let exported = exported();
    let queries: Vec<Query> = all().iter().flat_map(Dashboard::promql).collect();
    assert!(queries.len() > 50, "{}", queries.len());
    for Query { place, text } in &queries {
        let place = format!("{place}: {text}");
        assert!(metric_names(text).next().is_some(), "{place}");
        for name in metric_names(text) {
            assert!(exported.contains(name), "{place}: nobody exports {name}");
            let rated = text.contains(&format!("rate({name}"))
                || text.contains(&format!("increase({name}"));
            assert_eq!(rated, name.ends_with("_total"), "{place}: counters are rated");
            let filtered = format!("{name}{{job=~\"$job\", instance=~\"$instance\"");
            assert!(text.contains(&filtered), "{place}: {name} of which instance?");
        }
        let windows = text.matches('[').count();
        assert_eq!(windows, text.matches("[$__rate_interval]").count(), "{place}");
        assert!(!text.contains("rate(sum") && !text.contains("increase(sum"), "{place}");
    }
}

/// Texts of events never become SQL, and nothing is asked for without an end.
#[test]
fn sql_reads_views_and_quotes_what_is_chosen() {
    let views = read("src/delivery/postgresql/migrations/0003_views.sql");
    let views: BTreeSet<&str> = views
        .lines()
        .filter_map(|line| line.strip_prefix("CREATE VIEW "))
        .map(|line| line.trim_end_matches(" AS"))
        .chain(["incident_alerts"])
        .collect();
    let both = |one: &Dashboard| one.sql().into_iter().chain(one.sql_of_variables());
    let queries: Vec<Query> = all().iter().flat_map(both).collect();
    assert!(queries.len() > 25, "{}", queries.len());
    for Query { place, text } in &queries {
        assert!(text.starts_with("SELECT "), "{place}: {text}");
        assert!(!text.contains(';') && !text.contains("--"), "{place}: {text}");
        let asked = text.split(SCHEMA).skip(1);
        let asked =
            asked.map(|rest| rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next());
        for view in asked.flatten() {
            assert!(views.contains(view), "{place}: there is no view {view}");
        }
        for variable in text.split('$').skip(1) {
            let is_macro = variable.starts_with("__");
            let is_quoted = variable.starts_with('{') && variable.contains(":sqlstring}");
            assert!(is_macro || is_quoted, "{place}: ${variable}");
        }
    }
}

/// Every string below a value.
fn strings<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(members) => members.values().for_each(|member| strings(member, found)),
        _ => {}
    }
}

#[test]
fn links_lead_to_dashboards_and_carry_the_time_range_and_what_was_chosen() {
    let dashboards = all();
    let mut n_links = 0;
    for dashboard in &dashboards {
        let navigation = dashboard.json["links"].as_array().unwrap();
        assert_eq!(navigation.len(), 1, "{}", dashboard.name);
        assert_eq!(navigation[0]["keepTime"], true, "{}", dashboard.name);
        assert_eq!(navigation[0]["tags"], dashboard.json["tags"]);
        let mut texts = Vec::new();
        strings(&dashboard.json["panels"], &mut texts);
        for link in texts.iter().filter(|text| text.starts_with("/d/")) {
            n_links += 1;
            let (uid, query) = link["/d/".len()..].split_once('?').unwrap();
            let target = dashboards.iter().find(|one| one.json["uid"] == uid);
            let target = target.unwrap_or_else(|| panic!("{}: {link}", dashboard.name));
            assert!(query.ends_with("&${__url_time_range}"), "{}: {link}", dashboard.name);
            let variable = query.strip_prefix("var-").unwrap().split('=').next().unwrap();
            assert!(names(target).contains(&variable), "{}: {link}", dashboard.name);
            let is_encoded =
                query.contains("=${__data.fields.") && query.contains(":percentencode}");
            assert!(is_encoded, "{}: {link}", dashboard.name);
        }
    }
    assert!(n_links >= 9, "{n_links}");
}

#[test]
fn the_data_sources_and_every_dashboard_are_provisioned() {
    let compose = read("docker-compose.yml");
    for dashboard in all() {
        let mount = format!(
            "./dashboards/{0}.json:/var/lib/grafana/dashboards/{0}.json:ro",
            dashboard.name
        );
        assert!(compose.contains(&mount), "{mount}");
    }
    for (file, uid, kind) in
        [("prometheus", "nightlatch-prometheus", PROMETHEUS), ("postgresql", FIXED[0], POSTGRESQL)]
    {
        let text = read(&format!("dashboards/provisioning/datasources/{file}.yml"));
        for line in [format!("uid: {uid}"), format!("type: {kind}"), "editable: false".to_owned()] {
            assert!(text.contains(&line), "{file}: {line}");
        }
        assert!(!text.contains("password: ") || text.contains("password: $__file{"), "{file}");
    }
}
