//! The dashboards as files: their panels, and their queries with variables and macros filled in.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// How a dashboard's SQL names the schema.
pub const SCHEMA: &str = "nightlatch.";

/// A file of `dashboards/`.
pub struct Dashboard {
    /// Its name without `.json`.
    pub name: String,
    pub json: Value,
}

/// A query of a panel or of a variable.
pub struct Query {
    /// Dashboard and panel, for messages.
    pub place: String,
    pub text: String,
}

/// All of them, by name.
pub fn all() -> Vec<Dashboard> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let json = serde_json::from_str(&fs::read_to_string(&path).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found.push(Dashboard { name, json });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

impl Dashboard {
    /// Panels that ask something: all but headings.
    pub fn panels(&self) -> Vec<&Value> {
        let panels = self.json["panels"].as_array().unwrap();
        panels.iter().filter(|panel| panel["type"] != "row").collect()
    }

    pub fn variables(&self) -> &[Value] {
        self.json["templating"]["list"].as_array().unwrap()
    }

    /// The expressions of Prometheus, as they stand in the file.
    pub fn promql(&self) -> Vec<Query> {
        self.targets("expr")
    }

    /// The SQL of panels, as it stands in the file.
    pub fn sql(&self) -> Vec<Query> {
        self.targets("rawSql")
    }

    /// The SQL of variables.
    pub fn sql_of_variables(&self) -> Vec<Query> {
        let asked = self
            .variables()
            .iter()
            .filter(|variable| variable["datasource"]["type"] == "grafana-postgresql-datasource");
        let query = |variable: &Value| Query {
            place: format!("{}: variable {}", self.name, variable["name"]),
            text: variable["query"].as_str().unwrap().to_owned(),
        };
        asked.map(query).collect()
    }

    fn targets(&self, key: &str) -> Vec<Query> {
        let mut found = Vec::new();
        for panel in self.panels() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                if let Some(text) = target[key].as_str() {
                    let place = format!("{}: {}", self.name, panel["title"]);
                    found.push(Query { place, text: text.to_owned() });
                }
            }
        }
        found
    }
}

/// PromQL for every job, instance and rule.
pub fn fill_promql(query: &str) -> String {
    let everything = ["$job", "$instance", "$rule"];
    let filled = everything.iter().fold(query.to_owned(), |text, name| text.replace(name, ".+"));
    let filled = filled.replace("$__rate_interval", "10s");
    assert!(!filled.contains('$'), "a variable that nobody fills: {filled}");
    filled
}

/// SQL between two times, RFC 3339, with the variables' values as Grafana quotes them.
pub fn fill_sql(query: &str, from: &str, to: &str, variables: &[(&str, &str)]) -> String {
    let mut filled = query.to_owned();
    for (name, value) in variables {
        filled = filled.replace(&format!("${{{name}:sqlstring}}"), value);
    }
    filled = filled.replace("$__timeFrom()", &format!("'{from}'"));
    filled = filled.replace("$__timeTo()", &format!("'{to}'"));
    filled = filled.replace("$__interval", "'1m'");
    filled =
        macros(&filled, "$__timeFilter(", |column| format!("{column} BETWEEN '{from}' AND '{to}'"));
    filled = macros(&filled, "$__timeGroupAlias(", |arguments| {
        let column = arguments.split(',').next().unwrap();
        format!("floor(extract(epoch from {column})/60)*60 AS \"time\"")
    });
    assert!(!filled.contains('$'), "a variable that nobody fills: {filled}");
    filled
}

/// Replaces each call of a macro, whose arguments have no brackets.
fn macros(text: &str, start: &str, expand: impl Fn(&str) -> String) -> String {
    let mut parts = text.split(start);
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        let (arguments, rest) = part.split_once(')').unwrap();
        filled.push_str(&expand(arguments));
        filled.push_str(rest);
    }
    filled
}
