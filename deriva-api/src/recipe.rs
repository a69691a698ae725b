//! Recipes: a function, its inputs and its params, under one address.

use std::fmt;

use bytes::Bytes;

use crate::canonical::{self, Layout};
use crate::{CAddr, Error, ErrorKind, FunctionId, Params, Result};

/// A function applied to inputs with params: a name for bytes that may not exist yet.
///
/// Inputs are addresses of blobs or of other recipes; their order matters, that of params does not.
/// A recipe is a view on its canonical bytes (see [`crate::canonical`]): cloning shares them, and a
/// part is decoded when it is asked for. Its address cannot be wrong, as it is computed from them.
#[derive(Clone)]
pub struct Recipe {
    bytes: Bytes,
    addr: CAddr,
    layout: Layout,
}

impl Recipe {
    /// Makes a recipe.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a float param is not finite, a param is nested deeper than
    /// [`canonical::MAX_DEPTH`], the params are longer than [`canonical::MAX_PARAMS`] or have more values
    /// than [`canonical::MAX_VALUES`], or the whole is longer than [`canonical::MAX_LEN`].
    pub fn new(function: &FunctionId, inputs: &[CAddr], params: &Params) -> Result<Self> {
        let bytes = canonical::encode(function, inputs, params)
            .map_err(|error| error.during("recipe").with("function", function))?;
        let layout = Layout::locate(&bytes)?;
        Ok(Self {
            addr: CAddr::of_recipe(&bytes),
            bytes,
            layout,
        })
    }

    /// Reads a recipe from its canonical bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when they are not the canonical form of a recipe.
    pub fn decode(bytes: Bytes) -> Result<Self> {
        let layout = Layout::parse(&bytes)?;
        Ok(Self {
            addr: CAddr::of_recipe(&bytes),
            bytes,
            layout,
        })
    }

    /// Reads a recipe that should have the address `addr`, as a store found it, and checks.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the bytes are not canonical or have another address.
    pub fn verify(addr: CAddr, bytes: Bytes) -> Result<Self> {
        let recipe = Self::decode(bytes).map_err(|error| error.with("addr", addr))?;
        if recipe.addr == addr {
            return Ok(recipe);
        }
        Err(Error::new(
            ErrorKind::Corrupt,
            "a stored recipe does not hash to its address",
        )
        .with("addr", addr)
        .with("found", recipe.addr))
    }

    /// The recipe's address.
    #[must_use]
    pub fn addr(&self) -> CAddr {
        self.addr
    }

    /// The canonical bytes: what was hashed, and what stores keep.
    #[must_use]
    pub fn canonical(&self) -> &Bytes {
        &self.bytes
    }

    /// The function's name and version.
    #[must_use]
    pub fn function(&self) -> FunctionId {
        FunctionId::unchecked(self.name(), self.version())
    }

    /// The function's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.layout.name(&self.bytes)
    }

    /// The function's version.
    #[must_use]
    pub fn version(&self) -> &str {
        self.layout.version(&self.bytes)
    }

    /// Whether it is the function `id` that the recipe applies. No text is checked or copied.
    #[must_use]
    pub fn applies(&self, id: &FunctionId) -> bool {
        self.layout.names(&self.bytes, id)
    }

    /// The inputs, in order.
    pub fn inputs(
        &self,
    ) -> impl ExactSizeIterator<Item = CAddr> + DoubleEndedIterator + Clone + '_ {
        self.layout.inputs(&self.bytes)
    }

    /// How many inputs there are.
    #[must_use]
    pub fn input_count(&self) -> usize {
        self.layout.input_count()
    }

    /// The params, decoded.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when they have more values than [`canonical::MAX_VALUES`], as those of a
    /// stored recipe may: [`Recipe::params_bytes`] has them, too.
    pub fn params(&self) -> Result<Params> {
        let decoded = canonical::decode_params(self.params_bytes());
        decoded.map_err(|error| error.with("addr", self.addr))
    }

    /// Whether the params are within the limits of new recipes, which those of a stored recipe, or of one
    /// that was read from bytes, may pass.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when they are not: see [`Recipe::new`].
    pub fn check_limits(&self) -> Result<()> {
        match self.has_params() {
            true => canonical::check_limits(self.params_bytes()),
            false => Ok(()),
        }
    }

    /// Bytes of the params in the canonical form.
    #[must_use]
    pub fn params_len(&self) -> usize {
        self.params_bytes().len()
    }

    /// Whether there are any params.
    #[must_use]
    pub fn has_params(&self) -> bool {
        self.layout.has_params(&self.bytes)
    }

    /// The params as encoded bytes: equal bytes mean equal params.
    #[must_use]
    pub fn params_bytes(&self) -> &[u8] {
        self.layout.params_bytes(&self.bytes)
    }

    /// The same function and params over `contents`: the resolved recipe, when these are the content
    /// addresses of the inputs.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there are not as many contents as inputs.
    pub fn resolve(&self, contents: &[CAddr]) -> Result<Self> {
        if contents.len() != self.input_count() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a recipe resolves over as many contents as it has inputs",
            )
            .with("inputs", self.input_count())
            .with("contents", contents.len()));
        }
        let bytes = self.layout.splice(&self.bytes, contents.iter().copied());
        Ok(Self {
            addr: CAddr::of_recipe(&bytes),
            bytes: bytes.into(),
            layout: self.layout,
        })
    }
}

impl PartialEq for Recipe {
    fn eq(&self, other: &Self) -> bool {
        self.addr == other.addr
    }
}

impl Eq for Recipe {}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Recipe({:?} = {}/{} over {} inputs)",
            self.addr,
            self.name(),
            self.version(),
            self.input_count()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    fn id(text: &str) -> FunctionId {
        text.parse().unwrap()
    }

    fn sample(inputs: usize) -> Recipe {
        let inputs: Vec<_> = (0..inputs)
            .map(|i| CAddr::of_blob(&i.to_le_bytes()))
            .collect();
        let nested = Value::List(vec![
            Value::Null,
            Value::from(true),
            Value::from(Bytes::from_static(b"\0\xff")),
        ]);
        let params = Params::new()
            .with("b", 1)
            .with("aa", -0.0)
            .with("list", nested)
            .with("é", i64::MIN);
        Recipe::new(&id("text.top/1"), &inputs, &params).unwrap()
    }

    #[test]
    fn parts_read_back_as_they_went_in() {
        for inputs in [0, 1, 2, 23, 24, 255, 256, 70_000] {
            let recipe = sample(inputs);
            let read = Recipe::verify(recipe.addr(), recipe.canonical().clone()).unwrap();
            assert_eq!((read.name(), read.version()), ("text.top", "1"));
            assert!(
                read.inputs()
                    .eq((0..inputs).map(|i| CAddr::of_blob(&i.to_le_bytes())))
            );
            assert_eq!(read.params().unwrap(), recipe.params().unwrap());
            assert_eq!(
                read.params()
                    .unwrap()
                    .get("aa")
                    .and_then(|v| if let Value::Float(x) = v {
                        Some(x.to_bits())
                    } else {
                        None
                    }),
                Some((-0.0f64).to_bits())
            );
        }
    }

    #[test]
    fn order_of_inputs_name_and_version_are_part_of_the_address() {
        let (a, b) = (CAddr::of_blob(b"a"), CAddr::of_blob(b"b"));
        let addr = |name: &str, inputs: &[CAddr]| {
            Recipe::new(&id(name), inputs, &Params::new())
                .unwrap()
                .addr()
        };
        let all = [
            addr("f/1", &[a, b]),
            addr("f/1", &[b, a]),
            addr("f/2", &[a, b]),
            addr("g/1", &[a, b]),
            addr("f/1", &[a]),
        ];
        for (i, x) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|y| x != y));
        }
    }

    #[test]
    fn floats_that_are_not_finite_and_deep_nesting_are_invalid() {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let params = Params::new().with("x", Value::List(vec![Value::Float(x)]));
            let error = Recipe::new(&id("f/1"), &[], &params).unwrap_err();
            assert_eq!(
                (error.kind(), error.context("param")),
                (ErrorKind::Invalid, Some("x"))
            );
        }
        let deep = (0..100).fold(Value::Null, |inner, _| Value::List(vec![inner]));
        assert_eq!(
            Recipe::new(&id("f/1"), &[], &Params::new().with("x", deep))
                .unwrap_err()
                .kind(),
            ErrorKind::Invalid
        );
    }

    #[test]
    fn every_other_form_of_the_same_recipe_is_corrupt() {
        let addr = CAddr::of_blob(b"a");
        let recipe = Recipe::new(
            &id("f/1"),
            &[addr],
            &Params::new().with("a", 1).with("b", 2),
        )
        .unwrap();
        let good = recipe.canonical().to_vec();
        let tail = &good[good.len() - 7..];
        assert_eq!(tail, b"\xa2\x61a\x01\x61b\x02");
        let with_tail = |tail: &[u8]| [&good[..good.len() - 7], tail].concat();
        let long_version = [&[0x85, 0x18, 0x01], &good[2..]].concat();
        let bad = [
            with_tail(b"\xa2\x61b\x02\x61a\x01"),
            with_tail(b"\xa2\x61a\x18\x01\x61b\x02"),
            with_tail(b"\xa2\x61a\x01\x61a\x01"),
            with_tail(b"\xbf\x61a\x01\x61b\x02\xff"),
            with_tail(b"\xa1\x61a\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00"),
            with_tail(b"\xa1\x61a\xf9\x7e\x00"),
            with_tail(b"\xa1\x61a\xf7"),
            with_tail(b"\x80"),
            with_tail(b""),
            [&good[..], b"\0"].concat(),
            long_version,
            vec![],
        ];
        for bytes in bad {
            assert_eq!(
                Recipe::decode(bytes.clone().into()).unwrap_err().kind(),
                ErrorKind::Corrupt,
                "{bytes:02x?}"
            );
        }
        assert!(Recipe::decode(good.into()).is_ok());
    }

    #[test]
    fn resolving_equals_encoding_anew() {
        let recipe = sample(3);
        let contents: Vec<_> = (7..10u8).map(|i| CAddr::of_blob(&[i])).collect();
        let anew = Recipe::new(&recipe.function(), &contents, &recipe.params().unwrap()).unwrap();
        assert_eq!(
            recipe.resolve(&contents).unwrap().canonical(),
            anew.canonical()
        );
        assert!(recipe.resolve(&contents[..2]).is_err());
    }
}
