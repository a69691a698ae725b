//! What differs between two graphs, at one place.

use deriva_api::diff::{Difference, DifferenceKind, Passed};
use deriva_api::{CAddr, Error, FunctionId, Result, Value};

use crate::fields::{addr_of, bytes_of, required};
use crate::v1;
use crate::v1::Null;
use crate::v1::difference::{self as wire, Kind};

impl TryFrom<&Difference> for v1::Difference {
    type Error = Error;

    /// Fails with `Invalid` for what no recipe has as a param, such as a float that is not finite. What a later version of the
    /// contracts adds becomes a difference of no kind.
    fn try_from(difference: &Difference) -> Result<Self> {
        Ok(Self {
            path: difference.path.iter().map(Into::into).collect(),
            above: difference.above,
            before: bytes_of(difference.before),
            after: bytes_of(difference.after),
            function: difference.function.as_ref().map(Into::into),
            kind: kind(&difference.kind)?,
        })
    }
}

fn kind(kind: &DifferenceKind) -> Result<Option<Kind>> {
    let change = |from: &FunctionId, to: &FunctionId| wire::FunctionChange {
        before: Some(from.into()),
        after: Some(to.into()),
    };
    let place = |input: &u32, addr: &CAddr| wire::Input {
        input: *input,
        addr: bytes_of(*addr),
    };
    let value = |value: &Option<Value>| value.as_ref().map(v1::Value::try_from).transpose();
    Ok(Some(match kind {
        DifferenceKind::FunctionChanged { from, to } => Kind::FunctionChanged(change(from, to)),
        DifferenceKind::VersionChanged { from, to } => Kind::VersionChanged(change(from, to)),
        DifferenceKind::ParamChanged { name, from, to } => Kind::ParamChanged(wire::ParamChange {
            name: name.clone(),
            before: value(from)?,
            after: value(to)?,
        }),
        DifferenceKind::InputAdded { input, addr } => Kind::InputAdded(place(input, addr)),
        DifferenceKind::InputRemoved { input, addr } => Kind::InputRemoved(place(input, addr)),
        DifferenceKind::InputsReordered => Kind::InputsReordered(Null {}),
        DifferenceKind::BlobChanged => Kind::BlobChanged(Null {}),
        DifferenceKind::BlobBecameRecipe => Kind::BlobBecameRecipe(Null {}),
        DifferenceKind::RecipeBecameBlob => Kind::RecipeBecameBlob(Null {}),
        _ => return Ok(None),
    }))
}

impl TryFrom<v1::Difference> for Difference {
    type Error = Error;

    fn try_from(found: v1::Difference) -> Result<Self> {
        let kind = required("Difference.kind", found.kind)?;
        let mut difference = Self::new(
            addr_of("Difference.before", &found.before)?,
            addr_of("Difference.after", &found.after)?,
            kind_of(kind)?,
        );
        let path = found.path.into_iter().map(Passed::try_from);
        difference.path = path.collect::<Result<_>>()?;
        difference.above = found.above;
        difference.function = found.function.map(FunctionId::try_from).transpose()?;
        Ok(difference)
    }
}

fn kind_of(kind: Kind) -> Result<DifferenceKind> {
    let change = |change: wire::FunctionChange| -> Result<(FunctionId, FunctionId)> {
        let from = required("Difference.FunctionChange.before", change.before)?;
        let to = required("Difference.FunctionChange.after", change.after)?;
        Ok((from.try_into()?, to.try_into()?))
    };
    let place = |place: &wire::Input| -> Result<(u32, CAddr)> {
        Ok((place.input, addr_of("Difference.Input.addr", &place.addr)?))
    };
    Ok(match kind {
        Kind::FunctionChanged(it) => {
            let (from, to) = change(it)?;
            DifferenceKind::FunctionChanged { from, to }
        }
        Kind::VersionChanged(it) => {
            let (from, to) = change(it)?;
            DifferenceKind::VersionChanged { from, to }
        }
        Kind::ParamChanged(it) => DifferenceKind::ParamChanged {
            name: it.name,
            from: it.before.map(Value::try_from).transpose()?,
            to: it.after.map(Value::try_from).transpose()?,
        },
        Kind::InputAdded(it) => {
            let (input, addr) = place(&it)?;
            DifferenceKind::InputAdded { input, addr }
        }
        Kind::InputRemoved(it) => {
            let (input, addr) = place(&it)?;
            DifferenceKind::InputRemoved { input, addr }
        }
        Kind::InputsReordered(Null {}) => DifferenceKind::InputsReordered,
        Kind::BlobChanged(Null {}) => DifferenceKind::BlobChanged,
        Kind::BlobBecameRecipe(Null {}) => DifferenceKind::BlobBecameRecipe,
        Kind::RecipeBecameBlob(Null {}) => DifferenceKind::RecipeBecameBlob,
    })
}

impl From<&Passed> for wire::Passed {
    fn from(passed: &Passed) -> Self {
        Self {
            before: bytes_of(passed.before),
            after: bytes_of(passed.after),
            function: Some((&passed.function).into()),
            input: passed.input,
        }
    }
}

impl TryFrom<wire::Passed> for Passed {
    type Error = Error;

    fn try_from(found: wire::Passed) -> Result<Self> {
        Ok(Self::new(
            addr_of("Difference.Passed.before", &found.before)?,
            addr_of("Difference.Passed.after", &found.after)?,
            required("Difference.Passed.function", found.function)?.try_into()?,
            found.input,
        ))
    }
}
