//! The three queries as aggregates of dbsp.

use dbsp::algebra::{DefaultSemigroup, Semigroup};
use dbsp::operator::{Aggregator, Fold};
use dbsp::utils::{Tup2, Tup3};
use dbsp::{DBData, ZWeight};

use crate::rows::Row;

/// Results of one row: `count(*)`, `sum(failed)`, `count(DISTINCT value)`; 0 where not asked for.
pub(crate) type Totals = Tup3<i64, i64, i64>;

pub(crate) trait Query: 'static {
    /// What of a row the aggregate sees.
    type Value: DBData;
    const N_RESULTS: usize;

    fn value(row: &Row) -> Self::Value;
    fn aggregator() -> impl Aggregator<Self::Value, (), ZWeight, Output = Totals>;
}

/// `count(*)`.
pub(crate) struct Counts;

impl Query for Counts {
    type Value = ();
    const N_RESULTS: usize = 1;

    fn value(_: &Row) {}

    fn aggregator() -> impl Aggregator<(), (), ZWeight, Output = Totals> {
        Fold::<_, _, DefaultSemigroup<i64>, _, _>::with_output(
            0_i64,
            |count: &mut i64, (): &(), weight: ZWeight| *count += weight,
            |count| Tup3(count, 0, 0),
        )
    }
}

/// `count(*)`, `sum(failed)`.
pub(crate) struct Outcomes;

impl Query for Outcomes {
    type Value = u32;
    const N_RESULTS: usize = 2;

    fn value(row: &Row) -> u32 {
        row.failed
    }

    fn aggregator() -> impl Aggregator<u32, (), ZWeight, Output = Totals> {
        Fold::<_, _, DefaultSemigroup<Tup2<i64, i64>>, _, _>::with_output(
            Tup2(0_i64, 0_i64),
            |Tup2(count, failed): &mut Tup2<i64, i64>, value: &u32, weight: ZWeight| {
                *count += weight;
                *failed += i64::from(*value) * weight;
            },
            |Tup2(count, failed)| Tup3(count, failed, 0),
        )
    }
}

/// `count(*)`, `sum(failed)`, `count(DISTINCT value)`.
pub(crate) struct Values;

impl Query for Values {
    type Value = Tup2<u32, u32>;
    const N_RESULTS: usize = 3;

    fn value(row: &Row) -> Tup2<u32, u32> {
        Tup2(row.failed, row.value)
    }

    fn aggregator() -> impl Aggregator<Tup2<u32, u32>, (), ZWeight, Output = Totals> {
        Fold::<_, _, Union, _, _>::with_output(Distinct::default(), step, |distinct: Distinct| {
            let Tup3(count, failed, values) = distinct;
            Tup3(count, failed, values.len() as i64)
        })
    }
}

/// Count, sum of failures, sorted values.
type Distinct = Tup3<i64, i64, Vec<u32>>;

fn step(distinct: &mut Distinct, Tup2(failed, value): &Tup2<u32, u32>, weight: ZWeight) {
    let Tup3(count, failures, values) = distinct;
    *count += weight;
    *failures += i64::from(*failed) * weight;
    if let Err(place) = values.binary_search(value) {
        values.insert(place, *value);
    }
}

#[derive(Clone)]
struct Union;

impl Semigroup<Distinct> for Union {
    fn combine(left: &Distinct, right: &Distinct) -> Distinct {
        Tup3(left.0 + right.0, left.1 + right.1, union(&left.2, &right.2))
    }
}

fn union(left: &[u32], right: &[u32]) -> Vec<u32> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left, right);
    while let ([first, others @ ..], [second, rest @ ..]) = (left, right) {
        merged.push(*first.min(second));
        (left, right) = match first.cmp(second) {
            std::cmp::Ordering::Less => (others, right),
            std::cmp::Ordering::Equal => (others, rest),
            std::cmp::Ordering::Greater => (left, rest),
        };
    }
    merged.extend_from_slice(left);
    merged.extend_from_slice(right);
    merged
}
