//! How a built-in function is defined, and what all of them share.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use deriva_api::{
    CallContext, ComputeFunction, Error, ErrorKind, FunctionId, ParamDoc, Params, Result, Weight,
};

use deriva_api::{Arity, Body, FnFunction};

pub(super) type Function = Arc<dyn ComputeFunction>;

/// The most bytes that a function makes from less, so that no small recipe can exhaust the memory.
pub(super) const OUTPUT_LIMIT: usize = 1 << 30;

/// What a built-in function is, apart from what it computes.
pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) weight: Weight,
    pub(super) arity: Arity,
    pub(super) description: &'static str,
    pub(super) params: Vec<ParamDoc>,
}

impl Definition {
    /// Joins the definition with its two halves: `configure` turns params into settings and refuses those
    /// that cannot be used, `run` computes. `check` is the first half alone, so that what it lets
    /// through is what a call can use.
    pub(super) fn with<S>(
        self,
        configure: impl Fn(&Params) -> Result<S> + Send + Sync + 'static,
        run: impl Fn(&[Bytes], S) -> Result<Bytes> + Send + Sync + 'static,
    ) -> Result<Function> {
        self.version("1", configure, run)
    }

    /// As [`Definition::with`], a version after the first.
    pub(super) fn version<S>(
        self,
        version: &str,
        configure: impl Fn(&Params) -> Result<S> + Send + Sync + 'static,
        run: impl Fn(&[Bytes], S) -> Result<Bytes> + Send + Sync + 'static,
    ) -> Result<Function> {
        Ok(Arc::new(self.build(version, configure, run)?))
    }

    /// As [`Definition::version`], to which more can be added.
    pub(super) fn build<S>(
        self,
        version: &str,
        configure: impl Fn(&Params) -> Result<S> + Send + Sync + 'static,
        run: impl Fn(&[Bytes], S) -> Result<Bytes> + Send + Sync + 'static,
    ) -> Result<FnFunction<impl Body>> {
        self.within(version, configure, move |inputs, settings, _| {
            run(inputs, settings)
        })
    }

    /// As [`Definition::build`], of a function that takes long and asks whether it is still wanted.
    pub(super) fn within<S>(
        self,
        version: &str,
        configure: impl Fn(&Params) -> Result<S> + Send + Sync + 'static,
        run: impl Fn(&[Bytes], S, &CallContext) -> Result<Bytes> + Send + Sync + 'static,
    ) -> Result<FnFunction<impl Body>> {
        let configure = Arc::new(configure);
        let check = Arc::clone(&configure);
        let id = FunctionId::new(self.name, version)?;
        let run = move |inputs: &[Bytes], params: &Params, context: &CallContext| {
            run(inputs, configure(params)?, context)
        };
        let mut function = FnFunction::within(id, self.weight, run)
            .describe(self.description)
            .arity(self.arity)
            .no_params();
        for doc in self.params {
            function = function.param(doc);
        }
        Ok(function.validate(move |params| check(params).map(drop)))
    }
}

/// Settings of a function without params.
pub(super) fn nothing(_: &Params) -> Result<()> {
    Ok(())
}

/// A param that must be given.
pub(super) fn needed(
    name: &'static str,
    kind: &'static str,
    description: &'static str,
) -> ParamDoc {
    ParamDoc {
        name: name.into(),
        kind: kind.into(),
        required: true,
        description: description.into(),
    }
}

/// A param that may be left out.
pub(super) fn optional(
    name: &'static str,
    kind: &'static str,
    description: &'static str,
) -> ParamDoc {
    ParamDoc {
        required: false,
        ..needed(name, kind, description)
    }
}

/// The error for a param whose type is right and whose value is not.
pub(super) fn bad_value(
    param: &str,
    expected: impl fmt::Display,
    found: impl fmt::Display,
) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "a param has a value that cannot be used",
    )
    .with("param", param)
    .with("expected", expected)
    .with("found", found)
}

/// The value of a param that must be given.
pub(super) fn given<T>(param: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "a required param is missing")
            .with("param", param)
            .with("found", "nothing")
    })
}

/// The integer under `param` where it lies in `range`.
pub(super) fn int_in(
    params: &Params,
    param: &str,
    range: RangeInclusive<i64>,
) -> Result<Option<i64>> {
    match params.int(param)? {
        Some(int) if !range.contains(&int) => {
            let expected = match *range.end() {
                i64::MAX => format!("{} or more", range.start()),
                end => format!("{} to {end}", range.start()),
            };
            Err(bad_value(param, expected, int))
        }
        int => Ok(int),
    }
}

/// The count or position under `param`: an integer that is not below `least`.
pub(super) fn count(params: &Params, param: &str, least: i64) -> Result<Option<usize>> {
    // A count beyond the address space means "all" as well as the largest usize does.
    let clamp = |int: i64| usize::try_from(int).unwrap_or(usize::MAX);
    Ok(int_in(params, param, least..=i64::MAX)?.map(clamp))
}

/// The choice under `param`, out of those that are `known`.
pub(super) fn choice<T: Copy>(
    params: &Params,
    param: &str,
    known: &[(&str, T)],
) -> Result<Option<T>> {
    let Some(text) = params.text(param)? else {
        return Ok(None);
    };
    match known.iter().find(|(name, _)| *name == text) {
        Some((_, chosen)) => Ok(Some(*chosen)),
        None => {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            Err(bad_value(
                param,
                format_args!("one of {}", names.join(", ")),
                text,
            ))
        }
    }
}

/// The error for an output that would be larger than `limit` bytes.
pub(super) fn too_large(limit: usize) -> Error {
    Error::new(ErrorKind::Invalid, "the output would be too large")
        .with("expected", format_args!("at most {limit} bytes"))
}
