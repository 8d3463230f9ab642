//! `stddev` and `stddev_pop` as the oracle computes them: from the values of the frame, anew each time.
//!
//! DataFusion 55 takes rows out of a running variance. What was rounded off stays in it, so that a frame
//! of equal values may get the root of a negative number: no judge of another way to add up.

use std::collections::VecDeque;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, not_impl_err};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

/// Puts the functions in the place of DataFusion's.
pub(super) fn register(context: &SessionContext) {
    for (name, aliases, divisor_less) in
        [("stddev", vec!["stddev_samp".to_owned()], 1), ("stddev_pop", Vec::new(), 0)]
    {
        let signature = Signature::exact(vec![DataType::Float64], Volatility::Immutable);
        context.register_udaf(AggregateUDF::new_from_impl(Deviation {
            name,
            aliases,
            divisor_less,
            signature,
        }));
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Deviation {
    name: &'static str,
    aliases: Vec<String>,
    /// Values less this is what the squared distances are divided by.
    divisor_less: usize,
    signature: Signature,
}

impl AggregateUDFImpl for Deviation {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Frame { values: VecDeque::new(), divisor_less: self.divisor_less }))
    }
}

/// The values of a frame; rows leave it in the order in which they came.
#[derive(Debug)]
struct Frame {
    values: VecDeque<f64>,
    divisor_less: usize,
}

impl Frame {
    fn deviation(&self) -> Option<f64> {
        let n = self.values.len();
        let divisor = n.checked_sub(self.divisor_less).filter(|divisor| *divisor > 0)?;
        let mean = self.values.iter().sum::<f64>() / n as f64;
        let distances = self.values.iter().map(|value| value - mean);
        let squares: f64 = distances.clone().map(|distance| distance * distance).sum();
        // The mean is rounded: without this share of its error equal values would differ from it.
        let error = distances.sum::<f64>();
        let squares = squares - error * error / n as f64;
        let squares = if squares < 0.0 { 0.0 } else { squares };
        Some((squares / divisor as f64).sqrt())
    }
}

impl Accumulator for Frame {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.extend(values[0].as_primitive::<Float64Type>().iter().flatten());
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let n = values[0].len() - values[0].null_count();
        self.values.drain(..n.min(self.values.len()));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.deviation()))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        not_impl_err!("the deviation is computed in windows only")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        not_impl_err!("the deviation is computed in windows only")
    }
}
