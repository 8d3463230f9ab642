//! What a SIGHUP changes: rules, reference tables, silences, destinations, tokens of the API. What is
//! bad leaves the old one running and says why.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::PoisonError;

use sha2::{Digest, Sha256};

use crate::config::{self, Config};
use crate::rules::{Engine, Pack, Rule};
use crate::{Error, Result};

use super::{Settings, SharedDispatcher, Work};
use crate::cli::{is_about, plan, plan_early, setup};
use crate::serve::{Api, Metrics};

/// What runs now, as far as a reload may change it.
#[derive(Debug, Clone)]
pub(super) struct Present {
    pub(super) config: Config,
    pub(super) rules: Vec<Rule>,
    /// SHA-256 of the files of reference tables and of enrichment.
    pub(super) files: BTreeMap<PathBuf, Vec<u8>>,
}

/// What is to run from now on.
struct Next {
    present: Present,
    /// Made anew when a rule, a table or a data file has changed.
    work: Option<Work>,
    /// What was refused; the old one of each runs on.
    refused: Vec<Error>,
}

/// Reads everything again and puts it into effect, but for new rules and data: they are given back,
/// for the next pipeline.
pub(super) fn apply(
    settings: &Settings,
    present: &mut Present,
    (dispatcher, api): (&SharedDispatcher, Option<&Api>),
    metrics: &Metrics,
) -> Option<Work> {
    tracing::info!("reading the configuration again");
    match read_and_deliver(settings, present, dispatcher) {
        Ok(Next { present: next, work, mut refused }) => {
            *present = next;
            refused.extend(api.and_then(|api| api.read_tokens_again().err()));
            metrics.reloaded(refused.is_empty());
            for error in &refused {
                tracing::error!("refused, the old one runs on: {error}");
            }
            tracing::info!(rules = present.rules.len(), changed = work.is_some(), "reloaded");
            work
        }
        Err(errors) => {
            metrics.reloaded(false);
            for error in &errors {
                tracing::error!("the reload changes nothing: {error}");
            }
            None
        }
    }
}

fn read_and_deliver(
    settings: &Settings,
    present: &Present,
    dispatcher: &SharedDispatcher,
) -> Result<Next, Vec<Error>> {
    let next = read_again(settings, present)?;
    let silences = setup::silences(&next.present.config)?;
    let mut dispatcher = dispatcher.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(dispatcher) = dispatcher.as_mut() {
        let destinations = next.present.config.destinations();
        dispatcher.replace(&destinations, silences).map_err(|error| vec![error])?;
    }
    Ok(next)
}

/// Reads everything again.
///
/// # Errors
/// When the configuration, a reference table or a data file cannot be read: then nothing changes at all.
fn read_again(settings: &Settings, present: &Present) -> Result<Next, Vec<Error>> {
    let config = config::load(&settings.path)?;
    let config = only_what_may_change(config, &present.config);
    let folder = settings.rules.as_deref().or(config.rules.as_deref());
    let pack = Pack::load(folder).map_err(|error| vec![error])?;
    let files = fingerprints(&config).map_err(|error| vec![error])?;
    let (pack, mut refused) = with_old_rules(pack, &present.rules);
    let changed = files != present.files
        || config.reference != present.config.reference
        || versions(&pack.rules) != versions(&present.rules);
    if !changed {
        let present = Present { config, rules: present.rules.clone(), files };
        return Ok(Next { present, work: None, refused });
    }
    let (engine, unplanned) = plan(pack, &config).map_err(|error| vec![error])?;
    let (engine, unplanned) = with_old_plans(engine, unplanned, &present.rules, &config)?;
    refused.extend(unplanned);
    let early = plan_early(&engine, &config).map_err(|error| vec![error])?;
    let rules = engine.rules().to_vec();
    let enricher = setup::enricher(&config).map_err(|error| vec![error])?;
    let present = Present { config, rules, files };
    Ok(Next { present, work: Some(Work { engine, early, enricher }), refused })
}

/// The new configuration, with the old values of all that only a restart can change.
fn only_what_may_change(new: Config, old: &Config) -> Config {
    let reloaded = Config {
        rules: new.rules.clone(),
        reference: new.reference.clone(),
        destination: new.destination.clone(),
        alerts: config::AlertsConfig {
            silences: new.alerts.silences.clone(),
            ..old.alerts.clone()
        },
        ..old.clone()
    };
    if reloaded != new {
        tracing::warn!(
            "the configuration has changes that need a restart: a reload takes over `rules`, \
             [[reference]], [[destination]] and `alerts.silences`"
        );
    }
    reloaded
}

/// Puts the running version of a rule in the place of a file that is refused.
fn with_old_rules(mut pack: Pack, old: &[Rule]) -> (Pack, Vec<Error>) {
    let refused = std::mem::take(&mut pack.refused);
    let kept = refused.iter().filter_map(|error| old.iter().find(|rule| is_about(error, &rule.id)));
    pack.rules.extend(kept.cloned().collect::<Vec<_>>());
    pack.rules.sort_by(|left, right| left.id.cmp(&right.id));
    pack.rules.dedup_by(|left, right| left.id == right.id);
    (pack, refused)
}

/// The same for rules that cannot be planned.
fn with_old_plans(
    engine: Engine,
    refused: Vec<Error>,
    old: &[Rule],
    config: &Config,
) -> Result<(Engine, Vec<Error>), Vec<Error>> {
    let of_old = |error: &Error| old.iter().find(|rule| is_about(error, &rule.id)).cloned();
    let kept: Vec<Rule> = refused.iter().filter_map(of_old).collect();
    if kept.is_empty() {
        return Ok((engine, refused));
    }
    let rules = engine.rules().iter().cloned().chain(kept).collect();
    let pack = Pack { rules, refused: Vec::new() };
    let (engine, _) = plan(pack, config).map_err(|error| vec![error])?;
    Ok((engine, refused))
}

fn versions(rules: &[Rule]) -> BTreeMap<&str, &str> {
    rules.iter().map(|rule| (rule.id.as_str(), rule.version.as_str())).collect()
}

/// What each file of a reference table or of enrichment holds, as a hash.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn fingerprints(config: &Config) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let hash = |(what, path): (&str, &PathBuf)| {
        let digest = File::open(path).and_then(|mut file| {
            let mut digest = Sha256::new();
            std::io::copy(&mut file, &mut digest)?;
            Ok(digest.finalize().to_vec())
        });
        let digest = digest.map_err(|error| {
            Error::unavailable(format!("a {what} cannot be read"))
                .at(path.display().to_string())
                .detail(error.to_string())
        })?;
        Ok((path.clone(), digest))
    };
    let tables = config.reference.iter().map(|table| ("reference table", &table.file));
    let data = config.enrich.files().map(|path| ("data file", path));
    tables.chain(data).map(hash).collect()
}
