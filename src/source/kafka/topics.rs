//! Which topics are read, and what partitions they have now.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use regex::Regex;

use crate::{Error, Result};

/// Names and patterns of topics.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    pub(super) names: Vec<String>,
    patterns: Vec<Regex>,
    /// Topics that no pattern stands for: they are ours, and reading them would be a loop.
    never: Vec<String>,
}

/// The partitions of each topic that is there; `None` where the brokers cannot say them now.
pub(super) type Survey = BTreeMap<String, Option<Vec<i32>>>;

impl Topics {
    /// # Errors
    /// When a pattern is none.
    pub(super) fn new(topics: &[String], never: &[String]) -> Result<Self> {
        let (patterns, names): (Vec<_>, Vec<_>) =
            topics.iter().cloned().partition(|topic| topic.starts_with('^'));
        let pattern = |text: &String| {
            Regex::new(text).map_err(|error| {
                Error::usage(format!("`{text}` is no pattern"))
                    .at("kafka.topics")
                    .detail(error.to_string())
            })
        };
        let patterns = patterns.iter().map(pattern).collect::<Result<_>>()?;
        Ok(Self { names, patterns, never: never.to_vec() })
    }

    fn stands_for(&self, name: &str) -> bool {
        let is_named = self.names.iter().any(|own| own == name);
        let is_free = !name.starts_with("__") && !self.never.iter().any(|never| never == name);
        is_named || (is_free && self.patterns.iter().any(|pattern| pattern.is_match(name)))
    }

    /// Asks the brokers which of the topics are there.
    pub(super) fn survey<C: ClientContext>(
        &self,
        client: &Client<C>,
        timeout: Duration,
    ) -> KafkaResult<Survey> {
        let mut survey = Survey::new();
        if self.patterns.is_empty() {
            for name in &self.names {
                let metadata = client.fetch_metadata(Some(name), timeout)?;
                survey.extend(metadata.topics().iter().filter_map(standing));
            }
        } else {
            let metadata = client.fetch_metadata(None, timeout)?;
            let ours = metadata.topics().iter().filter(|topic| self.stands_for(topic.name()));
            survey.extend(ours.filter_map(standing));
        }
        Ok(survey)
    }
}

/// The topic as a survey has it, unless it is not there.
fn standing(topic: &MetadataTopic) -> Option<(String, Option<Vec<i32>>)> {
    let mut numbers: Vec<i32> = topic.partitions().iter().map(|p| p.id()).collect();
    numbers.sort_unstable();
    let partitions = match topic.error().map(RDKafkaErrorCode::from) {
        None => Some(numbers),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            return None;
        }
        Some(_) => None,
    };
    Some((topic.name().to_owned(), partitions))
}

/// All partitions of a survey that are known, in order.
pub(super) fn partitions(survey: &Survey) -> Vec<(String, i32)> {
    let known = survey.iter().filter_map(|(topic, numbers)| Some((topic, numbers.as_ref()?)));
    known
        .flat_map(|(topic, numbers)| numbers.iter().map(move |number| (topic.clone(), *number)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_never_stands_for_what_is_internal_or_ours() {
        let text = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let topics = Topics::new(&text(&["logins", "^events-"]), &text(&["events-late"])).unwrap();
        assert_eq!(topics.names, ["logins"]);
        for name in ["logins", "events-", "events-eu"] {
            assert!(topics.stands_for(name), "{name}");
        }
        for name in ["my-events-eu", "logins2", "events-late", "alerts"] {
            assert!(!topics.stands_for(name), "{name}");
        }
        assert!(!Topics::new(&text(&["^.*"]), &[]).unwrap().stands_for("__consumer_offsets"));
        assert!(Topics::new(&text(&["^("]), &[]).is_err());
    }
}
