//! `distance_km`: how far two positions are from each other.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::Result;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use geographiclib_rs::{Geodesic, InverseGeodesic};

const METRES: f64 = 1000.0;

static EARTH: LazyLock<Geodesic> = LazyLock::new(Geodesic::wgs84);

/// Length of the geodesic on the WGS 84 ellipsoid (Karney 2013), exact to nanometres; `None` where a
/// latitude is beyond a pole or a number is none.
fn distance_km(from: (f64, f64), to: (f64, f64)) -> Option<f64> {
    let is_sound =
        |(latitude, longitude): (f64, f64)| latitude.abs() <= 90.0 && longitude.is_finite();
    if !is_sound(from) || !is_sound(to) {
        return None;
    }
    let metres: f64 = EARTH.inverse(from.0, from.1, to.0, to.1);
    metres.is_finite().then_some(metres / METRES)
}

/// Makes the function known.
pub(super) fn register(context: &SessionContext) {
    let signature = Signature::exact(vec![DataType::Float64; 4], Volatility::Immutable);
    context.register_udf(ScalarUDF::new_from_impl(Distance { signature }));
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Distance {
    signature: Signature,
}

impl ScalarUDFImpl for Distance {
    fn name(&self) -> &str {
        "distance_km"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let n_rows = columns.first().map_or(0, |column| column.len());
        let columns: Vec<&Float64Array> =
            columns.iter().map(|column| column.as_primitive::<Float64Type>()).collect();
        let at = |row: usize, column: usize| {
            let column = columns.get(column)?;
            column.is_valid(row).then(|| column.value(row))
        };
        let distance = |row| {
            let (from, to) = ((at(row, 0)?, at(row, 1)?), (at(row, 2)?, at(row, 3)?));
            distance_km(from, to)
        };
        let distances: Float64Array = (0..n_rows).map(distance).collect();
        Ok(ColumnarValue::Array(Arc::new(distances)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positions in units of a degree, distances in kilometres to a metre.
    #[test]
    fn distances_are_those_of_the_ellipsoid() {
        // A quarter of a meridian, a degree of the equator, the example of GeographicLib
        // (Wellington to Salamanca), both poles.
        let cases = [
            ((0.0, 0.0), (90.0, 0.0), 10_001.966),
            ((0.0, 0.0), (0.0, 1.0), 111.319),
            ((-41.32, 174.81), (40.96, -5.50), 19_959.679),
            ((90.0, 0.0), (-90.0, 77.0), 20_003.931),
            ((52.5, 13.4), (52.5, 13.4), 0.0),
            ((0.0, 179.5), (0.0, -179.5), 111.319),
            ((0.0, 359.5), (0.0, 0.5), 111.319),
            // Nearly opposite points, on which simpler formulas do not end.
            ((0.0, 0.0), (0.5, 179.7), 19_944.127),
        ];
        for (from, to, expected) in cases {
            for (from, to) in [(from, to), (to, from)] {
                let found = distance_km(from, to).unwrap();
                assert!((found - expected).abs() < 0.001, "{from:?} {to:?}: {found}");
            }
        }
    }

    #[test]
    fn what_is_no_position_has_no_distance() {
        for latitude in [90.1, f64::NAN, f64::INFINITY] {
            assert_eq!(distance_km((latitude, 0.0), (0.0, 0.0)), None);
            assert_eq!(distance_km((0.0, 0.0), (-latitude, 0.0)), None);
        }
        assert_eq!(distance_km((0.0, f64::NAN), (0.0, 0.0)), None);
    }
}
