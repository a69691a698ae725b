//! How a store, or several put together, is named in text.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::{Error, ErrorKind, Result};

/// A parsed store URI.
///
/// Of one store it is `scheme:path?key=value&key=value`: `sled:./data?durability=buffered&cache=256MiB` names a sled
/// store in the folder `./data`.
///
/// Of a **stack** it is `name(store, key=value, ..)`: a name, and in parentheses the URIs of the stores that it is made
/// of, then options. `retry(sled:./data, attempts=3)` is a store with a layer around it. Where a stack is made of
/// several stores each has a name: `split(blobs=files:./media, dag=redb:./graph)`. Stacks hold stacks, up to
/// [`StoreUri::MAX_DEPTH`].
///
/// Names and schemes are lowercase letters, digits and hyphens. Paths and values may be percent-encoded: `%3F` for a
/// `?` in a path; within a stack, `%2C` for a comma, `%28` and `%29` for parentheses that are no pairs.
///
/// ```
/// use deriva_api::StoreUri;
///
/// let uri: StoreUri = "sled:./data?cache=256MiB".parse()?;
/// assert_eq!((uri.scheme(), uri.path()), ("sled", "./data"));
/// assert_eq!(uri.option("cache"), Some("256MiB"));
///
/// let stack: StoreUri = "split(blobs=files:./media, dag=retry(redb:./graph, attempts=3))".parse()?;
/// let graph = stack.store("dag").unwrap();
/// assert_eq!((graph.scheme(), graph.option("attempts")), ("retry", Some("3")));
/// assert!(stack.leaves().map(StoreUri::path).eq(["./media", "./graph"]));
/// # Ok::<(), deriva_api::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StoreUri {
    text: String,
    scheme: String,
    path: String,
    /// Those that a stack is made of, by name; the only one has none.
    stores: Vec<(String, StoreUri)>,
    options: Vec<(String, String)>,
}

/// Compared is what they say, however it is written.
impl PartialEq for StoreUri {
    fn eq(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.path == other.path
            && self.stores == other.stores
            && self.options == other.options
    }
}

impl Eq for StoreUri {}

impl StoreUri {
    /// How many stacks may lie within each other: 16.
    pub const MAX_DEPTH: usize = 16;

    /// The URI of one store, without options. Path and scheme are as they are meant, not encoded.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a scheme of other characters than lowercase letters, digits and hyphens.
    pub fn new(scheme: &str, path: &str) -> Result<Self> {
        Self::made(scheme, path, Vec::new())
    }

    /// The URI of a stack, without options: its stores with their names, which are empty where there is only one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] without stores, for a name of other characters than lowercase letters, digits and
    /// hyphens, and for more than [`StoreUri::MAX_DEPTH`] stacks within each other.
    pub fn stack<'a>(
        name: &str,
        stores: impl IntoIterator<Item = (&'a str, Self)>,
    ) -> Result<Self> {
        let stores = stores.into_iter();
        let stores: Vec<_> = stores
            .map(|(name, store)| (name.to_owned(), store))
            .collect();
        if stores.is_empty() {
            return Err(of_no_store(name));
        }
        let made = Self::made(name, "", stores)?;
        if made.depth() > Self::MAX_DEPTH {
            return Err(too_deep(&made.text));
        }
        for (name, _) in &made.stores {
            if !name.is_empty() || made.stores.len() > 1 {
                check_name(name, &made.text)?;
            }
        }
        Ok(made)
    }

    fn made(scheme: &str, path: &str, stores: Vec<(String, Self)>) -> Result<Self> {
        check_name(scheme, scheme)?;
        let mut made = Self {
            text: String::new(),
            scheme: scheme.to_owned(),
            path: path.to_owned(),
            stores,
            options: Vec::new(),
        };
        made.text = made.written();
        Ok(made)
    }

    /// The same with one more option; key and value are as they are meant, not encoded.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an option that it has already, and for a key of other characters than letters,
    /// digits, `_` and `-`.
    pub fn with_option(mut self, key: &str, value: impl fmt::Display) -> Result<Self> {
        add(&mut self.options, key, value.to_string()).map_err(|why| self.invalid(why))?;
        self.text = self.written();
        Ok(self)
    }

    /// The part before the first colon; of a stack its name.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The part between the colon and the question mark, decoded; may be empty, as it is of a stack.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The stores that a stack is made of, with their names, which are empty where there is only one. None for one
    /// store.
    pub fn stores(&self) -> impl ExactSizeIterator<Item = (&str, &Self)> {
        self.stores
            .iter()
            .map(|(name, store)| (name.as_str(), store))
    }

    /// That of the stores of a stack that has this name.
    #[must_use]
    pub fn store(&self, name: &str) -> Option<&Self> {
        let found = self.stores.iter().find(|(known, _)| known == name);
        found.map(|(_, store)| store)
    }

    /// Whether it names a stack.
    #[must_use]
    pub fn is_stack(&self) -> bool {
        !self.stores.is_empty()
    }

    /// All single stores in it, itself where it is no stack, in the order in which they are written.
    pub fn leaves(&self) -> impl Iterator<Item = &Self> {
        let mut left = vec![self];
        std::iter::from_fn(move || {
            loop {
                let next = left.pop()?;
                if !next.is_stack() {
                    return Some(next);
                }
                left.extend(next.stores.iter().rev().map(|(_, store)| store));
            }
        })
    }

    /// The value of an option, decoded.
    #[must_use]
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    /// All options in the order given.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// The value of an option, read as a `T`, where it is given; `expected` says what it should be.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with `expected`, naming the option and what was given.
    pub fn read_option<T>(&self, key: &str, expected: &'static str) -> Result<Option<T>>
    where
        T: FromStr<Err: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let Some(text) = self.option(key) else {
            return Ok(None);
        };
        let read = text.parse().map_err(|source: T::Err| {
            let error = self.invalid(expected).with("option", key);
            error.with("given", text).caused_by(source)
        });
        read.map(Some)
    }

    /// Checks that no option is given but the `known` ones, for those who open stores.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] naming the unknown option and listing the known ones.
    pub fn allow_options(&self, known: &[&str]) -> Result<()> {
        match self.options().find(|(key, _)| !known.contains(key)) {
            None => Ok(()),
            Some((key, _)) => {
                let form = if self.is_stack() { "(..)" } else { ":" };
                Err(self
                    .invalid("unknown option")
                    .with("option", key)
                    .hint(match known {
                        [] => format!("`{}{form}` takes no options", self.scheme),
                        _ => format!("`{}{form}` takes: {}", self.scheme, known.join(", ")),
                    }))
            }
        }
    }

    /// An [`ErrorKind::Invalid`] about this URI.
    #[must_use]
    pub fn invalid(&self, message: &'static str) -> Error {
        Error::new(ErrorKind::Invalid, message).with("uri", self)
    }

    /// How many stacks lie within each other.
    fn depth(&self) -> usize {
        let inner = self.stores.iter().map(|(_, store)| store.depth());
        inner.max().map_or(0, |inner| inner + 1)
    }

    /// What it says, written anew.
    fn written(&self) -> String {
        let mut text = self.scheme.clone();
        let options = self.options.iter();
        let mut options = options.map(|(key, value)| format!("{key}={}", encoded(value, true)));
        if !self.is_stack() {
            text.push(':');
            text.push_str(&encoded(&self.path, false));
            let options: Vec<String> = options.collect();
            let mark = if options.is_empty() { "" } else { "?" };
            return text + mark + &options.join("&");
        }
        let stores = self.stores.iter().map(|(name, store)| match name.as_str() {
            "" => store.text.clone(),
            _ => format!("{name}={}", store.text),
        });
        let arguments: Vec<String> = stores.chain(options.by_ref()).collect();
        text + "(" + &arguments.join(", ") + ")"
    }

    fn parsed(text: &str, depth: usize) -> Result<Self> {
        let invalid = |message: &'static str| {
            Error::new(ErrorKind::Invalid, message)
                .with("uri", text)
                .hint("a store is named like `sled:./data`, `memory:` or `sled:./data?durability=buffered`")
        };
        let end = text
            .find([':', '('])
            .ok_or_else(|| invalid("a store URI begins with a scheme and a colon"))?;
        let (scheme, rest) = text.split_at(end);
        check_name(scheme, text)?;
        let mut uri = Self {
            text: text.to_owned(),
            scheme: scheme.to_owned(),
            path: String::new(),
            stores: Vec::new(),
            options: Vec::new(),
        };
        let decode = |part: &str| {
            let decoded = percent_decode_str(part).decode_utf8();
            decoded
                .map(String::from)
                .map_err(|source| invalid("a store URI is UTF-8 text").caused_by(source))
        };
        if let Some(arguments) = rest.strip_prefix('(') {
            if depth == Self::MAX_DEPTH {
                return Err(too_deep(text));
            }
            for argument in arguments_of(arguments).map_err(|why| in_stack(text, why))? {
                match split_name(argument) {
                    (name, store) if is_store(store) => {
                        let is_unnamed = |known: &str| known.is_empty() || name.is_empty();
                        let mut known = uri.stores.iter().map(|(known, _)| known.as_str());
                        if let Some(known) = known.find(|known| is_unnamed(known) || *known == name)
                        {
                            let why = match is_unnamed(known) {
                                true => {
                                    "of several stores in a stack each has a name, like `blobs=..`"
                                }
                                false => "two stores of a stack have one name",
                            };
                            return Err(in_stack(text, why).with("given", argument));
                        }
                        if !name.is_empty() && !is_name(name) {
                            let why = "the name of a store in a stack is lowercase letters, digits and hyphens";
                            return Err(in_stack(text, why).with("given", argument));
                        }
                        let store = Self::parsed(store, depth + 1)?;
                        uri.stores.push((name.to_owned(), store));
                    }
                    ("", _) => {
                        let why = "what stands in a stack is a store's URI or an option, key=value";
                        return Err(in_stack(text, why).with("given", argument));
                    }
                    (key, value) => add(&mut uri.options, key, decode(value)?)
                        .map_err(|why| in_stack(text, why).with("option", key))?,
                }
            }
            return match uri.is_stack() {
                true => Ok(uri),
                false => Err(of_no_store(text)),
            };
        }
        let (path, query) = rest[1..].split_once('?').unwrap_or((&rest[1..], ""));
        uri.path = decode(path)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| invalid("an option is written key=value"))?;
            let key = decode(key)?;
            add(&mut uri.options, &key, decode(value)?)
                .map_err(|why| invalid(why).with("option", key))?;
        }
        Ok(uri)
    }
}

impl FromStr for StoreUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parsed(text, 0)
    }
}

impl fmt::Display for StoreUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Cuts what stands between the parentheses of a stack into its arguments. `rest` ends with the closing one.
fn arguments_of(rest: &str) -> Result<Vec<&str>, &'static str> {
    let inside = rest.strip_suffix(')').ok_or("a stack ends with `)`")?;
    let (mut arguments, mut begin, mut open) = (Vec::new(), 0, 0_usize);
    for (at, c) in inside.char_indices() {
        match c {
            '(' => open += 1,
            ')' => open = open.checked_sub(1).ok_or("a `)` too many")?,
            ',' if open == 0 => {
                arguments.push(inside[begin..at].trim_ascii());
                begin = at + 1;
            }
            _ => {}
        }
    }
    if open > 0 {
        return Err("a `)` is missing");
    }
    let last = inside[begin..].trim_ascii();
    if !last.is_empty() || !arguments.is_empty() {
        arguments.push(last);
    }
    Ok(arguments)
}

/// Splits `name=rest`, where there is a name.
fn split_name(argument: &str) -> (&str, &str) {
    match argument.split_once('=') {
        Some((name, rest)) if is_key(name) => (name, rest),
        _ => ("", argument),
    }
}

/// Whether this is the URI of a store, and not the value of an option.
fn is_store(text: &str) -> bool {
    text.split_once([':', '('])
        .is_some_and(|(name, _)| is_name(name))
}

fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(allowed)
}

fn is_key(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !text.is_empty() && text.bytes().all(allowed)
}

fn check_name(name: &str, text: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    let message = "the scheme of a store URI is lowercase letters, digits and hyphens";
    Err(Error::new(ErrorKind::Invalid, message)
        .with("uri", text)
        .hint("a store is named like `sled:./data`, `memory:` or `retry(sled:./data)`"))
}

fn add(options: &mut Vec<(String, String)>, key: &str, value: String) -> Result<(), &'static str> {
    if options.iter().any(|(known, _)| known == key) {
        return Err("an option is given twice");
    }
    if !is_key(key) {
        return Err("the name of an option is letters, digits, `_` and `-`");
    }
    options.push((key.to_owned(), value));
    Ok(())
}

fn in_stack(text: &str, message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, message)
        .with("uri", text)
        .hint(
            "a stack is written like `retry(sled:./data, attempts=3)`; in a path `,`, `(` and `)` are written %2C, %28 and %29",
        )
}

fn of_no_store(text: &str) -> Error {
    in_stack(text, "a stack is made of stores, and none is named")
}

fn too_deep(text: &str) -> Error {
    let start: String = text.chars().take(100).collect();
    Error::new(ErrorKind::Invalid, "too many stacks within each other")
        .with("uri", start)
        .with("max", StoreUri::MAX_DEPTH)
        .hint("put fewer layers around each other")
}

/// A path, or a value, so that it is read again as it is, wherever it stands.
fn encoded(text: &str, is_value: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        let reserved = match c {
            '%' | '?' | '(' | ')' | ',' => true,
            '&' | '=' | ':' => is_value,
            _ => c.is_control() || c.is_whitespace(),
        };
        match reserved {
            false => encoded.push(c),
            true => {
                let mut buffer = [0; 4];
                let bytes = c.encode_utf8(&mut buffer).bytes();
                encoded.extend(bytes.map(|byte| format!("%{byte:02X}")));
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
