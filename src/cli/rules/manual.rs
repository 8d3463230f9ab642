//! The rules as a manual in Markdown, each in the form of Palantir's Alerting and Detection Strategy
//! framework: goal, technique, blind spots, false positives, validation, response.

use crate::rules::Rule;

/// A page with a table of all rules and a section for each.
pub(super) fn markdown(rules: &[Rule]) -> String {
    let mut page = format!(
        "# The rule pack\n\n{} rules, one file each; this page is what their front matter says \
         (`nightlatch rules list --markdown`).\n`nightlatch rules explain RULE` prints windows and \
         what is shared, `nightlatch rules test RULE` runs its cases.\n\n\
         | rule | severity | entity | ATT&CK | what was seen |\n|---|---|---|---|---|\n",
        rules.len()
    );
    for rule in rules {
        let front = &rule.front;
        page += &format!(
            "| [`{id}`](#{id}) | {} | `{}` | {} | {} |\n",
            front.severity.label(),
            front.entity,
            front.attack.join(" "),
            cell(&front.title),
            id = rule.id,
        );
    }
    rules.iter().for_each(|rule| page += &section(rule));
    page
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn section(rule: &Rule) -> String {
    let front = &rule.front;
    let mut text =
        format!("\n## {}\n\n{}. An alert reads: \"{}\"\n", rule.id, front.title, front.summary);
    let parts = [
        ("Goal", &front.why),
        ("Blind spots", &front.blind_spots),
        ("False positives", &front.false_positives),
        ("To make it fire", &front.validation),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            text += &format!("\n**{name}.** {}\n", part.trim());
        }
    }
    if let Some(runbook) = &front.runbook {
        text += &format!("\n**Response.**\n\n{}\n", runbook.trim());
    }
    if !front.references.is_empty() {
        text += &format!("\nReferences: {}\n", front.references.join(", "));
    }
    text
}
