//! A function made of a closure and a declaration of what it takes.

use std::borrow::Cow;
use std::fmt;

use crate::{
    ByteRange, CallContext, ComputeFunction, Error, ErrorKind, FunctionId, ParamDoc, Params,
    Result, Value, Weight,
};
use bytes::Bytes;

use crate::Arity;

/// A [`ComputeFunction`] made of a closure.
///
/// By default it takes any number of inputs and any params. What [`FnFunction::arity`] and
/// [`FnFunction::param`] declare is checked before every call, so the closure may rely on it; once one
/// param is declared (or [`FnFunction::no_params`] said), others are refused.
///
/// ```
/// use deriva_api::{Arity, Bytes, ComputeFunction, FnFunction, FunctionId, Params, Weight};
///
/// let reverse = FnFunction::new(FunctionId::new("my.reverse", "1")?, Weight::Light, |inputs, _| {
///     Ok(inputs[0].iter().rev().copied().collect())
/// })
/// .describe("Turns the bytes round.")
/// .arity(Arity::Exactly(1))
/// .no_params();
///
/// assert_eq!(reverse.call(&[Bytes::from("abc")], &Params::new())?, "cba");
/// let error = reverse.call(&[], &Params::new()).unwrap_err();
/// assert_eq!(error.context("expected"), Some("exactly 1"));
/// # Ok::<(), deriva_api::Error>(())
/// ```
pub struct FnFunction<F> {
    id: FunctionId,
    weight: Weight,
    description: Cow<'static, str>,
    arity: Arity,
    params: Vec<ParamDoc>,
    closed: bool,
    validate: Option<Box<Validate>>,
    output_len: Option<Box<OutputLen>>,
    output_range: Option<Box<OutputRange>>,
    run: F,
}

/// What a function computes: a closure, or one that is told its context.
pub trait Body: Send + Sync + 'static {
    /// Computes the output.
    ///
    /// # Errors
    /// Those of [`ComputeFunction::call`].
    fn run(&self, inputs: &[Bytes], params: &Params, context: &CallContext) -> Result<Bytes>;
}

impl<F> Body for F
where
    F: Fn(&[Bytes], &Params) -> Result<Bytes> + Send + Sync + 'static,
{
    #[inline]
    fn run(&self, inputs: &[Bytes], params: &Params, _: &CallContext) -> Result<Bytes> {
        self(inputs, params)
    }
}

/// A closure that is told its context; see [`FnFunction::within`].
pub struct Within<F>(F);

impl<F> Body for Within<F>
where
    F: Fn(&[Bytes], &Params, &CallContext) -> Result<Bytes> + Send + Sync + 'static,
{
    #[inline]
    fn run(&self, inputs: &[Bytes], params: &Params, context: &CallContext) -> Result<Bytes> {
        (self.0)(inputs, params, context)
    }
}

impl<F> fmt::Debug for Within<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Within")
    }
}

type OutputLen = dyn Fn(&[u64], &Params) -> u64 + Send + Sync;
type OutputRange = dyn Fn(&Params) -> Option<ByteRange> + Send + Sync;
type Validate = dyn Fn(&Params) -> Result<()> + Send + Sync;

impl<F> FnFunction<F>
where
    F: Fn(&[Bytes], &Params) -> Result<Bytes> + Send + Sync + 'static,
{
    /// A function that runs `run`, which must be deterministic as [`ComputeFunction`] says.
    #[must_use]
    pub fn new(id: FunctionId, weight: Weight, run: F) -> Self {
        Self::of(id, weight, run)
    }
}

impl<F> FnFunction<Within<F>>
where
    F: Fn(&[Bytes], &Params, &CallContext) -> Result<Bytes> + Send + Sync + 'static,
{
    /// A function that runs `run`, which is told whether its result is still wanted. It must be deterministic all the
    /// same: the context may end it, and must not change what it computes.
    #[must_use]
    pub fn within(id: FunctionId, weight: Weight, run: F) -> Self {
        Self::of(id, weight, Within(run))
    }
}

impl<F> FnFunction<F> {
    fn of(id: FunctionId, weight: Weight, run: F) -> Self {
        Self {
            id,
            weight,
            description: Cow::Borrowed(""),
            arity: Arity::Any,
            params: Vec::new(),
            closed: false,
            validate: None,
            output_len: None,
            output_range: None,
            run,
        }
    }

    /// Says what it does, in one sentence; default empty.
    #[must_use]
    pub fn describe(mut self, description: impl Into<Cow<'static, str>>) -> Self {
        self.description = description.into();
        self
    }

    /// How many inputs it takes; default any number.
    #[must_use]
    pub fn arity(mut self, arity: Arity) -> Self {
        self.arity = arity;
        self
    }

    /// Declares one more param; default none declared and all accepted.
    #[must_use]
    pub fn param(mut self, doc: ParamDoc) -> Self {
        self.params.push(doc);
        self.closed = true;
        self
    }

    /// Refuses all params that are not declared; default: all accepted until one is declared.
    #[must_use]
    pub fn no_params(mut self) -> Self {
        self.closed = true;
        self
    }

    /// A further check of the params, made by [`ComputeFunction::check`] only, after the declared
    /// types were found right; default none. The closure must repeat it where it depends on it.
    #[must_use]
    pub fn validate(
        mut self,
        validate: impl Fn(&Params) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.validate = Some(Box::new(validate));
        self
    }

    /// About how many bytes the output will have at the most; see [`ComputeFunction::output_len`]. Default: as many as
    /// the inputs.
    #[must_use]
    pub fn makes(
        mut self,
        output_len: impl Fn(&[u64], &Params) -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.output_len = Some(Box::new(output_len));
        self
    }

    /// The range of its only input that the output is; see [`ComputeFunction::output_range`]. Default: none.
    #[must_use]
    pub fn cuts(
        mut self,
        output_range: impl Fn(&Params) -> Option<ByteRange> + Send + Sync + 'static,
    ) -> Self {
        self.output_range = Some(Box::new(output_range));
        self
    }
}

impl<F> FnFunction<F> {
    /// How many inputs it takes.
    #[must_use]
    pub fn takes(&self) -> Arity {
        self.arity
    }

    fn check_declared(&self, inputs: usize, params: &Params) -> Result<()> {
        if !self.arity.accepts(inputs) {
            return Err(
                Error::new(ErrorKind::Invalid, "a wrong number of inputs was given")
                    .with("function", &self.id)
                    .with("expected", self.arity)
                    .with("found", inputs),
            );
        }
        if self.closed && !(params.is_empty() && self.params.is_empty()) {
            self.check_params(params)?;
        }
        Ok(())
    }

    fn check_params(&self, params: &Params) -> Result<()> {
        // A name that is misspelt is both: told is what was written, and not what is missing for it.
        let unknown = params
            .iter()
            .find(|(name, _)| self.params.iter().all(|doc| doc.name != *name));
        if let Some((name, _)) = unknown {
            return Err(self.unknown_param(name));
        }
        for doc in &self.params {
            let found = params.get(&doc.name);
            if match found {
                None => doc.required,
                Some(value) => !has_kind(value, &doc.kind),
            } {
                let message = match found {
                    None => "a required param is missing",
                    Some(_) => "a param has the wrong type",
                };
                return Err(Error::new(ErrorKind::Invalid, message)
                    .with("function", &self.id)
                    .with("param", &doc.name)
                    .with("expected", &doc.kind)
                    .with("found", found.map_or("nothing", Value::type_name)));
            }
        }
        Ok(())
    }

    fn unknown_param(&self, name: &str) -> Error {
        let known: Vec<&str> = self.params.iter().map(|doc| &*doc.name).collect();
        let expected = if known.is_empty() {
            "no params".to_owned()
        } else {
            known.join(", ")
        };
        let error = Error::new(ErrorKind::Invalid, "the function has no such param")
            .with("function", &self.id)
            .with("param", name)
            .with("expected", expected)
            .with("found", name);
        match crate::nearest(name, known) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        }
    }
}

impl<F: Body> ComputeFunction for FnFunction<F> {
    fn id(&self) -> &FunctionId {
        &self.id
    }

    fn weight(&self) -> Weight {
        self.weight
    }

    fn description(&self) -> &str {
        &self.description
    }

    fn params(&self) -> &[ParamDoc] {
        &self.params
    }

    fn check(&self, inputs: usize, params: &Params) -> Result<()> {
        self.check_declared(inputs, params)?;
        match &self.validate {
            Some(validate) => validate(params).map_err(|error| error.with("function", &self.id)),
            None => Ok(()),
        }
    }

    fn output_len(&self, inputs: &[u64], params: &Params) -> u64 {
        match &self.output_len {
            Some(output_len) => output_len(inputs, params),
            None => inputs.iter().fold(0, |sum, len| sum.saturating_add(*len)),
        }
    }

    fn output_range(&self, params: &Params) -> Option<ByteRange> {
        self.output_range.as_ref()?(params)
    }

    #[inline]
    fn call(&self, inputs: &[Bytes], params: &Params) -> Result<Bytes> {
        self.call_within(inputs, params, &CallContext::default())
    }

    #[inline]
    fn call_within(
        &self,
        inputs: &[Bytes],
        params: &Params,
        context: &CallContext,
    ) -> Result<Bytes> {
        self.check_declared(inputs.len(), params)?;
        let output = self.run.run(inputs, params, context);
        output.map_err(|error| error.with("function", &self.id))
    }
}

impl<F> fmt::Debug for FnFunction<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnFunction")
            .field("id", &self.id)
            .field("weight", &self.weight)
            .field("arity", &self.arity)
            .finish_non_exhaustive()
    }
}

fn has_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "any" => true,
        "number" => matches!(value, Value::Int(_) | Value::Float(_)),
        kind => value.type_name() == kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> impl ComputeFunction {
        let doc = |name: &'static str, kind: &'static str, required| ParamDoc {
            name: name.into(),
            kind: kind.into(),
            required,
            description: "".into(),
        };
        FnFunction::new(
            FunctionId::new("my.f", "1").unwrap(),
            Weight::Light,
            |inputs, _| Ok(inputs[0].clone()),
        )
        .arity(Arity::AtLeast(1))
        .param(doc("pattern", "text", true))
        .param(doc("ratio", "number", false))
        .validate(|params| match params.text("pattern")? {
            Some("bad") => Err(Error::new(ErrorKind::Invalid, "bad pattern")),
            _ => Ok(()),
        })
    }

    #[test]
    fn the_declaration_is_checked_by_check_and_by_call() {
        let f = sample();
        let good = Params::new().with("pattern", "x").with("ratio", 1);
        for (inputs, params, expected) in [
            (
                0,
                good.clone(),
                "invalid: a wrong number of inputs was given (function=my.f/1; expected=at least 1; found=0)",
            ),
            (
                1,
                Params::new(),
                "invalid: a required param is missing (function=my.f/1; param=pattern; expected=text; found=nothing)",
            ),
            (
                1,
                Params::new().with("pattern", 1),
                "invalid: a param has the wrong type (function=my.f/1; param=pattern; expected=text; found=int)",
            ),
            (
                1,
                good.clone().with("ratio", "x"),
                "invalid: a param has the wrong type (function=my.f/1; param=ratio; expected=number; found=text)",
            ),
            (
                1,
                good.clone().with("patern", "x"),
                "invalid: the function has no such param (function=my.f/1; param=patern; expected=pattern, ratio; found=patern)",
            ),
        ] {
            let inputs = vec![Bytes::new(); inputs];
            let error = f.check(inputs.len(), &params).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(f.call(&inputs, &params).unwrap_err().to_string(), expected);
        }
        f.check(1, &good).unwrap();
        f.check(3, &good.with("ratio", 0.5)).unwrap();
    }

    #[test]
    fn a_misspelt_param_is_answered_with_the_nearest() {
        let params = Params::new().with("pattern", "x").with("patern", "x");
        let error = sample().check(1, &params).unwrap_err();
        assert_eq!(error.advice(), Some("did you mean `pattern`?"));
    }

    #[test]
    fn validation_names_the_function() {
        let error = sample()
            .check(1, &Params::new().with("pattern", "bad"))
            .unwrap_err();
        assert_eq!(error.context("function"), Some("my.f/1"));
    }

    #[test]
    fn a_closure_without_declaration_takes_everything() {
        let f = FnFunction::new(
            FunctionId::new("my.any", "1").unwrap(),
            Weight::Heavy,
            |inputs, params| Ok(format!("{} {}", inputs.len(), params.len()).into()),
        );
        let params = Params::new().with("what", "ever");
        f.check(7, &params).unwrap();
        assert_eq!(f.call(&[], &params).unwrap(), "0 1");
        assert_eq!(
            f.no_params()
                .check(0, &params)
                .unwrap_err()
                .context("expected"),
            Some("no params")
        );
    }
}
