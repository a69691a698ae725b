//! What several services speak of: blobs, functions, recipes, params, outputs, lengths of time.

use std::collections::BTreeMap;
use std::time::Duration;

use deriva_api::{
    BlobStat, ByteRange, Capabilities, DurabilityClass, Error, FunctionId, Node, Output, Params,
    Recipe, Result, Value, canonical,
};

use crate::fields::{
    addr_of, addrs_of, bytes_of, bytes_of_all, invalid, number, numbers, required,
};
use crate::v1;
use crate::v1::recipe::Form;
use crate::v1::value::Kind;

/// How deep lists and maps lie within each other in a [`v1::Value`]; what is nested deeper is one
/// [canonical value](Kind::CanonicalValue). Readers of protocol buffers give up at 100 messages within each other.
pub const MAX_NESTING: usize = 30;

impl From<BlobStat> for v1::BlobStat {
    fn from(stat: BlobStat) -> Self {
        Self {
            addr: bytes_of(stat.addr),
            len: stat.len,
        }
    }
}

impl TryFrom<v1::BlobStat> for BlobStat {
    type Error = Error;

    fn try_from(stat: v1::BlobStat) -> Result<Self> {
        Ok(Self {
            addr: addr_of("BlobStat.addr", &stat.addr)?,
            len: stat.len,
        })
    }
}

impl From<Output> for v1::Output {
    /// A cost of more than five centuries becomes that, as in a store.
    fn from(output: Output) -> Self {
        Self {
            addr: bytes_of(output.addr),
            len: output.len,
            cost_nanos: u64::try_from(output.cost.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

impl TryFrom<v1::Output> for Output {
    type Error = Error;

    fn try_from(output: v1::Output) -> Result<Self> {
        Ok(Self {
            addr: addr_of("Output.addr", &output.addr)?,
            len: output.len,
            cost: Duration::from_nanos(output.cost_nanos),
        })
    }
}

impl From<&FunctionId> for v1::FunctionId {
    fn from(id: &FunctionId) -> Self {
        Self {
            name: id.name().to_owned(),
            version: id.version().to_owned(),
        }
    }
}

impl TryFrom<v1::FunctionId> for FunctionId {
    type Error = Error;

    fn try_from(id: v1::FunctionId) -> Result<Self> {
        Self::new(&id.name, &id.version).map_err(|error| error.with("field", "FunctionId"))
    }
}

impl From<&Recipe> for v1::Recipe {
    /// By its canonical bytes, which are shared.
    fn from(recipe: &Recipe) -> Self {
        Self {
            form: Some(Form::Canonical(recipe.canonical().clone())),
        }
    }
}

impl TryFrom<v1::Recipe> for Recipe {
    type Error = Error;

    /// Canonical bytes are read as those of a stored recipe are, which may pass the limits of new ones: see
    /// [`Recipe::check_limits`].
    fn try_from(recipe: v1::Recipe) -> Result<Self> {
        match required("Recipe.form", recipe.form)? {
            Form::Canonical(bytes) => Self::decode(bytes).map_err(|error| {
                invalid("Recipe.canonical", "the canonical form of a recipe").caused_by(error)
            }),
            Form::Parts(parts) => parts.try_into(),
        }
    }
}

impl TryFrom<&Recipe> for v1::RecipeParts {
    type Error = Error;

    /// Fails as [`Recipe::params`].
    fn try_from(recipe: &Recipe) -> Result<Self> {
        let inputs: Vec<_> = recipe.inputs().collect();
        let params = recipe.params()?;
        let params = params
            .iter()
            .map(|(name, value)| Ok((name.to_owned(), value.try_into()?)));
        Ok(Self {
            function: Some((&recipe.function()).into()),
            inputs: bytes_of_all(&inputs),
            params: params.collect::<Result<_>>()?,
        })
    }
}

impl TryFrom<v1::RecipeParts> for Recipe {
    type Error = Error;

    fn try_from(parts: v1::RecipeParts) -> Result<Self> {
        let function = required("RecipeParts.function", parts.function)?.try_into()?;
        let inputs = addrs_of("RecipeParts.inputs", &parts.inputs)?;
        let params = parts.params.into_iter().map(|(name, value)| {
            let value = Value::try_from(value).map_err(|error| error.with("param", &name))?;
            Ok((name, value))
        });
        let params: Params = params.collect::<Result<Vec<_>>>()?.into_iter().collect();
        Self::new(&function, &inputs, &params)
    }
}

impl TryFrom<&Value> for v1::Value {
    type Error = Error;

    /// Fails with `Invalid` for what no recipe has as a param, such as a float that is not finite.
    fn try_from(value: &Value) -> Result<Self> {
        let kind = match lies_within(value, MAX_NESTING) {
            true => written(value)?,
            false => Kind::CanonicalValue(canonical::encode_value(value)?),
        };
        Ok(Self { kind: Some(kind) })
    }
}

/// Whether its lists and maps are nested at most this deep.
fn lies_within(value: &Value, levels: usize) -> bool {
    let is_within = |item: &Value| lies_within(item, levels - 1);
    match value {
        Value::List(items) => levels > 0 && items.iter().all(is_within),
        Value::Map(entries) => levels > 0 && entries.values().all(is_within),
        _ => true,
    }
}

/// A value whose depth is bounded.
fn written(value: &Value) -> Result<Kind> {
    let item = |value| {
        let kind = Some(written(value)?);
        Ok(v1::Value { kind })
    };
    Ok(match value {
        Value::Null => Kind::NullValue(v1::Null {}),
        Value::Bool(x) => Kind::BoolValue(*x),
        Value::Int(x) => Kind::IntValue(*x),
        Value::Float(x) => Kind::FloatValue(finite(*x)?),
        Value::Text(x) => Kind::TextValue(x.clone()),
        Value::Bytes(x) => Kind::BytesValue(x.clone()),
        Value::List(items) => Kind::ListValue(v1::List {
            values: items.iter().map(item).collect::<Result<_>>()?,
        }),
        Value::Map(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|(name, value)| Ok((name.clone(), item(value)?)));
            Kind::MapValue(v1::Map {
                values: entries.collect::<Result<_>>()?,
            })
        }
    })
}

impl TryFrom<v1::Value> for Value {
    type Error = Error;

    fn try_from(value: v1::Value) -> Result<Self> {
        match required("Value.kind", value.kind)? {
            Kind::CanonicalValue(bytes) => canonical::decode_value(&bytes).map_err(|error| {
                invalid("Value.canonical_value", "the canonical form of a value").caused_by(error)
            }),
            kind => read(kind, MAX_NESTING),
        }
    }
}

/// A value whose lists and maps are nested at most this deep.
fn read(kind: Kind, levels: usize) -> Result<Value> {
    let within = || match levels.checked_sub(1) {
        Some(levels) => {
            Ok(move |value: v1::Value| read(required("Value.kind", value.kind)?, levels))
        }
        None => {
            let error = invalid(
                "Value",
                "a value whose lists and maps are nested at most 30 deep",
            );
            Err(error.hint("send what is nested deeper as one `canonical_value`"))
        }
    };
    Ok(match kind {
        Kind::NullValue(v1::Null {}) => Value::Null,
        Kind::BoolValue(x) => Value::Bool(x),
        Kind::IntValue(x) => Value::Int(x),
        Kind::FloatValue(x) => Value::Float(finite(x)?),
        Kind::TextValue(x) => Value::Text(x),
        Kind::BytesValue(x) => Value::Bytes(x),
        Kind::ListValue(list) => {
            let items = list.values.into_iter().map(within()?);
            Value::List(items.collect::<Result<_>>()?)
        }
        Kind::MapValue(map) => {
            let item = within()?;
            let entries = map.values.into_iter();
            let entries = entries.map(|(name, value)| Ok((name, item(value)?)));
            Value::Map(entries.collect::<Result<BTreeMap<_, _>>>()?)
        }
        Kind::CanonicalValue(_) => {
            let expected = "a canonical value in place of a whole param, and not within one";
            return Err(invalid("Value.canonical_value", expected));
        }
    })
}

fn finite(x: f64) -> Result<f64> {
    match x.is_finite() {
        true => Ok(x),
        false => Err(invalid("Value.float_value", "a finite number").with("found", x)),
    }
}

impl From<&Node> for v1::Node {
    fn from(node: &Node) -> Self {
        Self {
            addr: bytes_of(node.recipe.addr()),
            canonical: node.recipe.canonical().clone(),
            output: node.output.map(Into::into),
        }
    }
}

impl TryFrom<v1::Node> for Node {
    type Error = Error;

    /// Fails with `Corrupt` where the bytes are no recipe, or not that of the address.
    fn try_from(node: v1::Node) -> Result<Self> {
        let addr = addr_of("Node.addr", &node.addr)?;
        Ok(Self {
            recipe: Recipe::verify(addr, node.canonical)?,
            output: node.output.map(Output::try_from).transpose()?,
        })
    }
}

impl From<ByteRange> for v1::ByteRange {
    fn from(range: ByteRange) -> Self {
        Self {
            offset: range.offset,
            len: Some(range.len).filter(|len| *len < u64::MAX),
        }
    }
}

impl From<v1::ByteRange> for ByteRange {
    fn from(range: v1::ByteRange) -> Self {
        Self::new(range.offset, range.len.unwrap_or(u64::MAX))
    }
}

impl From<Duration> for v1::Duration {
    fn from(time: Duration) -> Self {
        Self {
            seconds: time.as_secs(),
            nanos: time.subsec_nanos(),
        }
    }
}

impl TryFrom<v1::Duration> for Duration {
    type Error = Error;

    fn try_from(time: v1::Duration) -> Result<Self> {
        match time.nanos < 1_000_000_000 {
            true => Ok(Self::new(time.seconds, time.nanos)),
            false => {
                let error = invalid("Duration.nanos", "less than 1,000,000,000 nanoseconds");
                Err(error.with("found", time.nanos))
            }
        }
    }
}

numbers!(DurabilityClass = Durability: None, ProcessCrash, PowerLoss);

impl From<Capabilities> for v1::Capabilities {
    /// Which open store it is says nothing elsewhere, and is left out.
    fn from(capabilities: Capabilities) -> Self {
        Self {
            durability: v1::Durability::from(capabilities.durability).into(),
            shared: capabilities.shared,
            usage: capabilities.usage,
            list: capabilities.list,
            writable: capabilities.writable,
        }
    }
}

impl TryFrom<v1::Capabilities> for Capabilities {
    type Error = Error;

    fn try_from(capabilities: v1::Capabilities) -> Result<Self> {
        let field = "Capabilities.durability";
        let durability = number::<v1::Durability, _>(field, capabilities.durability)?;
        Ok(Self::new(durability)
            .shared(capabilities.shared)
            .usage(capabilities.usage)
            .list(capabilities.list)
            .writable(capabilities.writable))
    }
}

#[cfg(test)]
mod tests {
    use deriva_api::ErrorKind;

    use super::*;

    fn nested(levels: usize, wrap: fn(Value) -> Value) -> Value {
        (0..levels).fold(Value::Int(1), |inner, _| wrap(inner))
    }

    #[test]
    fn what_is_nested_as_deep_as_a_recipe_may_be_comes_back() {
        let in_list: fn(Value) -> Value = |inner| Value::List(vec![inner]);
        let in_map: fn(Value) -> Value = |inner| Value::Map([("k".to_owned(), inner)].into());
        for wrap in [in_list, in_map] {
            for levels in [0, 1, MAX_NESTING, MAX_NESTING + 1, canonical::MAX_DEPTH - 1] {
                let value = nested(levels, wrap);
                let wire = v1::Value::try_from(&value).unwrap();
                let is_canonical = matches!(wire.kind, Some(Kind::CanonicalValue(_)));
                assert_eq!(is_canonical, levels > MAX_NESTING);
                assert_eq!(Value::try_from(wire).unwrap(), value);
            }
            let error = v1::Value::try_from(&nested(canonical::MAX_DEPTH, wrap)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn what_is_nested_too_deep_or_no_value_is_invalid_and_says_where() {
        let wire = |kind| v1::Value { kind: Some(kind) };
        let within = |inner| {
            let values = vec![inner];
            wire(Kind::ListValue(v1::List { values }))
        };
        let deep = (0..1000).fold(wire(Kind::BoolValue(true)), |inner, _| within(inner));
        let canonical = wire(Kind::CanonicalValue(b"\xf6".as_slice().into()));
        for (value, field) in [
            (deep, "Value"),
            (within(canonical), "Value.canonical_value"),
            (
                wire(Kind::CanonicalValue(b"\xf7".as_slice().into())),
                "Value.canonical_value",
            ),
            (wire(Kind::FloatValue(f64::NAN)), "Value.float_value"),
            (
                within(wire(Kind::FloatValue(f64::INFINITY))),
                "Value.float_value",
            ),
            (v1::Value { kind: None }, "Value.kind"),
            (within(v1::Value { kind: None }), "Value.kind"),
        ] {
            let error = Value::try_from(value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert_eq!(error.context("field"), Some(field), "{error}");
        }
    }
}
