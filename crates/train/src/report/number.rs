//! Numbers in JSON, which knows neither NaN nor infinities: both are `null`, and come back as NaN.

use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
    if number.is_finite() {
        to.serialize_f64(*number)
    } else {
        to.serialize_none()
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// The same for named numbers.
pub(super) mod named {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        numbers: &BTreeMap<String, f64>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let finite = |number: &f64| number.is_finite().then_some(*number);
        to.collect_map(numbers.iter().map(|(name, number)| (name, finite(number))))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<String, f64>, D::Error> {
        let numbers = BTreeMap::<String, Option<f64>>::deserialize(from)?;
        let numbers = numbers.into_iter();
        Ok(numbers
            .map(|(name, number)| (name, number.unwrap_or(f64::NAN)))
            .collect())
    }
}
