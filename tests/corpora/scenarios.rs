//! Scenarios of the hub as rules: a file for each kind, filled with the facts of the scenario.

/// A scenario: what it is, and what it counts.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// File in the hub, without folder and ending; several scenarios may stand in one.
    pub(crate) file: &'static str,
    /// What its alerts are called; several scenarios may share a name.
    pub(crate) name: &'static str,
    /// When it overflows.
    pub(crate) kind: Kind,
    group: &'static str,
    distinct: &'static str,
    filter: &'static str,
}

/// When a scenario overflows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// A leaky bucket.
    Leaky(Bucket),
    /// A leaky bucket into which each value is poured once.
    Distinct(Bucket),
    /// At each event.
    Trigger,
    /// When two logins that follow within so many seconds are so many kilometres apart.
    Distance { km: f64, life_seconds: f64 },
    /// When the median of three intervals is longer, and none is longer than the life of the bucket.
    Steady { median_seconds: f64, life_seconds: f64 },
}

/// A leaky bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    /// How many it holds.
    pub(crate) capacity: usize,
    /// How long one takes to leak.
    pub(crate) leak_micros: u64,
    /// How many events the rule looks at.
    pub(crate) events: usize,
}

/// Events that a rule about a bucket can look at: `lag` goes back over 64 rows.
const EVENTS: usize = 65;
/// Frames in which values are counted.
pub(crate) const FRAMES: u64 = 16;
const MICROS: f64 = 1_000_000.0;

impl Bucket {
    /// In less than so many leaks the rule sees an overflow.
    pub(crate) fn leaks_max(self) -> u64 {
        assert!(self.capacity < self.events, "{self:?} needs more events");
        (self.events - self.capacity) as u64
    }

    /// `n` events within less than `n - capacity` leaks, for each `n` that `lag` reaches.
    fn overflow(self) -> String {
        let one = |leaks: u64| {
            let back = self.capacity + leaks as usize - 1;
            let span = interval(leaks * self.leak_micros);
            format!("lag(time, {back}) OVER earlier > time - {span}")
        };
        (1..=self.leaks_max()).map(one).collect::<Vec<_>>().join("\n    OR ")
    }

    /// As many values within less than so many leaks, for some frames.
    fn overflow_of_values(self, group: &str, value: &str) -> String {
        let one = |leaks: u64| {
            let more_than = self.capacity as u64 + leaks - 1;
            let span = interval(leaks * self.leak_micros - 1);
            let frame = format!("RANGE BETWEEN {span} PRECEDING AND CURRENT ROW");
            format!(
                "count(DISTINCT {value}) OVER (PARTITION BY {group} ORDER BY time {frame}) > {more_than}"
            )
        };
        (1..=FRAMES).map(one).collect::<Vec<_>>().join("\n    OR ")
    }
}

fn interval(micros: u64) -> String {
    match (micros % 1_000_000, micros % 1_000) {
        (0, _) => format!("INTERVAL '{}' SECOND", micros / 1_000_000),
        (_, 0) => format!("INTERVAL '{}' MILLISECOND", micros / 1_000),
        _ => format!("INTERVAL '{micros}' MICROSECOND"),
    }
}

/// All scenarios that are known.
pub(crate) fn all() -> Vec<Scenario> {
    let table = include_str!("rules/scenarios.csv");
    table.lines().filter(|line| !line.starts_with('#')).map(scenario).collect()
}

fn scenario(line: &'static str) -> Scenario {
    let fields: Vec<&str> = line.splitn(8, ';').collect();
    let [file, name, kind, capacity, leak, group, distinct, filter] = fields[..] else {
        panic!("{line}")
    };
    let number = |text: &str| text.parse::<f64>().unwrap_or_else(|error| panic!("{line}: {error}"));
    let bucket = || Bucket {
        capacity: number(capacity) as usize,
        leak_micros: (number(leak) * MICROS).round() as u64,
        events: EVENTS,
    };
    let kind = match kind {
        "leaky" => Kind::Leaky(bucket()),
        "distinct" => Kind::Distinct(bucket()),
        "trigger" => Kind::Trigger,
        "distance" => Kind::Distance { km: number(capacity), life_seconds: number(leak) },
        "steady" => Kind::Steady { median_seconds: number(capacity), life_seconds: number(leak) },
        _ => panic!("{line}"),
    };
    Scenario { file, name, kind, group, distinct, filter }
}

impl Scenario {
    /// A bucket over all failures of an address, not in the hub.
    pub(crate) fn of_logins(kind: Kind) -> Self {
        let filter = "action = 'login' AND outcome = 'failure'";
        Self { file: "", name: "logins", kind, group: "ip", distinct: "account", filter }
    }

    /// The file of the rule.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Leaky(_) => "leaky",
            Kind::Distinct(_) => "distinct",
            Kind::Trigger => "trigger",
            Kind::Distance { .. } => "distance",
            Kind::Steady { .. } => "steady",
        }
    }

    /// The same events without a threshold; where values are counted, who has one.
    pub(crate) fn without_threshold(&self) -> Self {
        let group = if self.distinct.is_empty() { self.group } else { self.distinct };
        Self { kind: Kind::Trigger, group, ..self.clone() }
    }

    /// The text of the rule.
    pub(crate) fn rule(&self) -> String {
        let seconds = |micros: u64| (micros as f64 / MICROS).to_string();
        let whole = |seconds: f64| format!("{} seconds", seconds.ceil());
        let (text, overflow, capacity, leak, horizon) = match self.kind {
            Kind::Leaky(bucket) => (
                include_str!("rules/leaky.sql"),
                bucket.overflow(),
                bucket.capacity.to_string(),
                seconds(bucket.leak_micros),
                whole((bucket.leaks_max() * bucket.leak_micros) as f64 / MICROS),
            ),
            Kind::Distinct(bucket) => (
                include_str!("rules/distinct.sql"),
                bucket.overflow_of_values(self.group, self.distinct),
                bucket.capacity.to_string(),
                seconds(bucket.leak_micros),
                String::new(),
            ),
            Kind::Trigger => {
                let none = String::new;
                (include_str!("rules/trigger.sql"), none(), none(), none(), none())
            }
            Kind::Distance { km, life_seconds } => (
                include_str!("rules/distance.sql"),
                String::new(),
                km.to_string(),
                life_seconds.to_string(),
                whole(life_seconds),
            ),
            Kind::Steady { median_seconds, life_seconds } => (
                include_str!("rules/steady.sql"),
                String::new(),
                median_seconds.to_string(),
                life_seconds.to_string(),
                whole(life_seconds * 3.0),
            ),
        };
        let events = match self.kind {
            Kind::Leaky(bucket) => bucket.events.to_string(),
            _ => String::new(),
        };
        let filled = [
            ("$name", self.name),
            ("$overflow", &overflow),
            ("$capacity", &capacity),
            ("$leak", &leak),
            ("$horizon", &horizon),
            ("$frames", &FRAMES.to_string()),
            ("$events", &events),
            ("$group", self.group),
            ("$distinct", self.distinct),
            ("$filter", self.filter),
        ];
        filled.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}
