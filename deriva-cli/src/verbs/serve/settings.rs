//! What can be set: names, units, defaults, and how each is written.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use deriva::{Determinism, Error};
use deriva_server::Limits;

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// As it stands in the file; the variable is made from it.
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    /// What it means, with its default where that is nothing.
    pub(crate) about: &'static str,
}

/// How a setting is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// Where to listen.
    Address,
    /// The same, or not at all.
    AddressOrOff,
    Path,
    Bytes,
    Count,
    Time,
    Switch,
    Mode,
}

/// What a setting is set to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    /// An address or a name of a host, with a port.
    Address(String),
    Off,
    Path(PathBuf),
    Bytes(u64),
    Count(u64),
    Time(Duration),
    Switch(bool),
    Mode(Determinism),
}

const fn setting(key: &'static str, kind: Kind, about: &'static str) -> Setting {
    Setting { key, kind, about }
}

/// All settings, in the order in which they are shown.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("store", Kind::Text, "the URI of the store"),
    setting(
        "memory",
        Kind::Bytes,
        "memory for values in flight and the cache; default: a quarter of what there is",
    ),
    setting(
        "jobs",
        Kind::Count,
        "heavy recipes computed at a time; default: one for each core",
    ),
    setting(
        "verify",
        Kind::Mode,
        "which computations are checked: off, dual, sampled:RATE, quorum:AGREE/OF; default: off",
    ),
    setting("listen", Kind::Address, "where gRPC is answered"),
    setting(
        "http",
        Kind::AddressOrOff,
        "where HTTP is answered: metrics, probes, pages; off: nowhere",
    ),
    setting(
        "page",
        Kind::Switch,
        "answer pages to look at what is stored; default: where HTTP listens at a loopback address",
    ),
    setting(
        "tokens",
        Kind::Path,
        "a file of tokens; default: nobody needs one",
    ),
    setting(
        "tls.cert",
        Kind::Path,
        "a certificate with its chain (PEM); default: no TLS",
    ),
    setting("tls.key", Kind::Path, "its private key (PEM)"),
    setting(
        "tls.client_ca",
        Kind::Path,
        "clients must show a certificate that one of these signed (PEM)",
    ),
    setting(
        "exposed_without_protection",
        Kind::Switch,
        "listen for gRPC where others can reach it without TLS and tokens",
    ),
    setting(
        "http_exposed_without_protection",
        Kind::Switch,
        "answer HTTP where others can reach it, without TLS and tokens",
    ),
    setting("limits.message_bytes", Kind::Bytes, "bytes of a message"),
    setting(
        "limits.batch",
        Kind::Count,
        "addresses or recipes in one call",
    ),
    setting(
        "limits.params_bytes",
        Kind::Bytes,
        "bytes of the params of a recipe",
    ),
    setting(
        "limits.depth",
        Kind::Count,
        "edges below an address that a walk may go",
    ),
    setting("limits.nodes", Kind::Count, "nodes that a walk lists"),
    setting("limits.requests", Kind::Count, "calls at once"),
    setting(
        "limits.requests_per_connection",
        Kind::Count,
        "calls at once on one connection",
    ),
    setting("limits.connections", Kind::Count, "connections"),
    setting(
        "limits.bytes_in_flight",
        Kind::Bytes,
        "bytes on their way in and out, over all calls",
    ),
    setting(
        "limits.stored_bytes",
        Kind::Bytes,
        "bytes of all blobs that are stored; default: no quota",
    ),
    setting("limits.pages", Kind::Count, "pages made at once"),
    setting(
        "limits.page_timeout",
        Kind::Time,
        "how long a page may take",
    ),
    setting(
        "limits.header_timeout",
        Kind::Time,
        "how long a connection may take to begin",
    ),
    setting(
        "limits.keepalive",
        Kind::Time,
        "how long a connection may be silent before it is asked whether it is there",
    ),
    setting(
        "limits.keepalive_timeout",
        Kind::Time,
        "how long it may take to answer that",
    ),
    setting(
        "limits.stall_timeout",
        Kind::Time,
        "how long a message may stand still of which a part has come",
    ),
    setting(
        "limits.idle_timeout",
        Kind::Time,
        "how long a connection may have no call",
    ),
    setting(
        "limits.drain",
        Kind::Time,
        "how long calls have to end after a signal to stop",
    ),
];

impl Setting {
    pub(crate) fn of(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// The variable of the environment that sets it: `DERIVA_SERVE_LIMITS_BATCH` for `limits.batch`.
    pub(crate) fn variable(&self) -> String {
        match self.key {
            "store" => "DERIVA_STORE".to_owned(),
            "memory" => "DERIVA_MEMORY".to_owned(),
            key => format!(
                "DERIVA_SERVE_{}",
                key.replace('.', "_").to_ascii_uppercase()
            ),
        }
    }

    /// The value that a text means, with paths below `folder`.
    ///
    /// # Errors
    /// What was expected instead.
    pub(crate) fn read(&self, text: &str, folder: &Path) -> Result<Value, String> {
        let value = self.kind.read(text, folder)?;
        let mut limits = Limits::default();
        limit(&mut limits, self.key, &value);
        let is_within = limits.check().map_err(|error| error.message().to_owned());
        is_within.map(|()| value)
    }

    /// What it is where nobody sets it.
    pub(crate) fn default(&self) -> Option<Value> {
        if let Some(name) = self.key.strip_prefix(LIMITS) {
            return field(&mut Limits::default(), name).and_then(|field| field.value(self.kind));
        }
        match self.key {
            "store" => Some(Value::Text(crate::store::DEFAULT.to_owned())),
            "listen" => Some(Value::Address("127.0.0.1:6733".to_owned())),
            "http" => Some(Value::Address("127.0.0.1:6734".to_owned())),
            "exposed_without_protection" | "http_exposed_without_protection" => {
                Some(Value::Switch(false))
            }
            _ => None,
        }
    }
}

/// How the keys of limits begin.
const LIMITS: &str = "limits.";

/// Sets a limit, where the setting is one.
pub(crate) fn limit(limits: &mut Limits, key: &str, value: &Value) {
    if let Some(field) = key
        .strip_prefix(LIMITS)
        .and_then(|name| field(limits, name))
    {
        field.set(value);
    }
}

/// The limit of a name.
fn field<'a>(limits: &'a mut Limits, name: &str) -> Option<&'a mut dyn Field> {
    Some(match name {
        "message_bytes" => &mut limits.message_bytes,
        "batch" => &mut limits.batch,
        "params_bytes" => &mut limits.params_bytes,
        "depth" => &mut limits.depth,
        "nodes" => &mut limits.nodes,
        "requests" => &mut limits.requests,
        "requests_per_connection" => &mut limits.requests_per_connection,
        "connections" => &mut limits.connections,
        "bytes_in_flight" => &mut limits.bytes_in_flight,
        "stored_bytes" => &mut limits.stored_bytes,
        "pages" => &mut limits.pages,
        "page_timeout" => &mut limits.page_timeout,
        "header_timeout" => &mut limits.header_timeout,
        "keepalive" => &mut limits.keepalive,
        "keepalive_timeout" => &mut limits.keepalive_timeout,
        "stall_timeout" => &mut limits.stall_timeout,
        "idle_timeout" => &mut limits.idle_timeout,
        "drain" => &mut limits.drain,
        _ => return None,
    })
}

/// A limit as the value of a setting. A number that is larger than it can be is as large as it can be: the server says what its
/// range is.
trait Field {
    fn value(&self, kind: Kind) -> Option<Value>;
    fn set(&mut self, value: &Value);
}

impl Field for usize {
    fn value(&self, kind: Kind) -> Option<Value> {
        Some(number(*self as u64, kind))
    }

    fn set(&mut self, value: &Value) {
        if let Value::Bytes(n) | Value::Count(n) = value {
            *self = Self::try_from(*n).unwrap_or(Self::MAX);
        }
    }
}

impl Field for u32 {
    fn value(&self, kind: Kind) -> Option<Value> {
        Some(number((*self).into(), kind))
    }

    fn set(&mut self, value: &Value) {
        if let Value::Bytes(n) | Value::Count(n) = value {
            *self = Self::try_from(*n).unwrap_or(Self::MAX);
        }
    }
}

impl Field for Option<u64> {
    fn value(&self, kind: Kind) -> Option<Value> {
        self.map(|n| number(n, kind))
    }

    fn set(&mut self, value: &Value) {
        if let Value::Bytes(n) | Value::Count(n) = value {
            *self = Some(*n);
        }
    }
}

impl Field for Duration {
    fn value(&self, _: Kind) -> Option<Value> {
        Some(Value::Time(*self))
    }

    fn set(&mut self, value: &Value) {
        if let Value::Time(time) = value {
            *self = *time;
        }
    }
}

fn number(n: u64, kind: Kind) -> Value {
    match kind {
        Kind::Bytes => Value::Bytes(n),
        _ => Value::Count(n),
    }
}

impl Kind {
    /// What is expected, for people.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Address => "an address or a name, with a port, as 127.0.0.1:6733",
            Self::AddressOrOff => "off, or an address or a name, with a port, as 127.0.0.1:6734",
            Self::Path => "the path of a file",
            Self::Bytes => "bytes, as 16MiB",
            Self::Count => "a whole number",
            Self::Time => "a time, as 30s",
            Self::Switch => "true or false",
            Self::Mode => "off, dual, sampled:RATE or quorum:AGREE/OF",
        }
    }

    /// The same as a sentence.
    pub(crate) fn wanted(self) -> String {
        match self.expected().rsplit_once(", as ") {
            Some((what, example)) => format!("{what} was expected, as {example}"),
            None => format!("{} was expected", self.expected()),
        }
    }

    /// Its unit, for lists.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Time => "time",
            Self::Count => "number",
            Self::Switch => "switch",
            Self::Address => "address",
            Self::AddressOrOff => "address, or off",
            Self::Path => "file",
            Self::Text | Self::Mode => "text",
        }
    }

    /// Reads what somebody wrote; files are beside `folder`.
    fn read(self, text: &str, folder: &Path) -> Result<Value, String> {
        let expected = || self.wanted();
        match self {
            Self::Text if text.is_empty() => Err(expected()),
            Self::Text => Ok(Value::Text(text.to_owned())),
            Self::AddressOrOff if text == OFF => Ok(Value::Off),
            Self::Address | Self::AddressOrOff => match is_address(text) {
                true => Ok(Value::Address(text.to_owned())),
                false => Err(expected()),
            },
            Self::Path if text.is_empty() => Err(expected()),
            Self::Path => Ok(Value::Path(folder.join(text))),
            Self::Bytes => {
                let bytes = text
                    .parse()
                    .map(|size: ByteSize| Value::Bytes(size.as_u64()));
                bytes.map_err(|_| expected())
            }
            Self::Count => text.parse().map(Value::Count).map_err(|_| expected()),
            Self::Time => {
                let time = humantime::parse_duration(text).map(Value::Time);
                time.map_err(|_| expected())
            }
            Self::Switch => text.parse().map(Value::Switch).map_err(|_| expected()),
            Self::Mode => {
                let mode = text.parse().map(Value::Mode);
                mode.map_err(|error: Error| error.message().to_owned())
            }
        }
    }
}

/// Nowhere.
const OFF: &str = "off";

/// Whether this is an address with a port, or what may be the name of a host with one.
fn is_address(text: &str) -> bool {
    if text.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_of_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    // What ends in a number is a number with a mistake, of which a resolver may make any other. A hash may well begin with a digit.
    let last = host.trim_end_matches('.').rsplit('.').next();
    let is_number = last.is_none_or(|last| {
        let hex = last.strip_prefix("0x").or(last.strip_prefix("0X"));
        last.bytes().all(|c| c.is_ascii_digit())
            || hex.is_some_and(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()))
    });
    host.chars().all(is_of_host) && !host.is_empty() && !is_number && port.parse::<u16>().is_ok()
}

impl Value {
    /// As it is written in a file.
    pub(crate) fn written(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Address(addr) => quoted(addr),
            Self::Off => quoted(OFF),
            Self::Path(path) => quoted(&path.display().to_string()),
            Self::Bytes(bytes) => quoted(&sized(*bytes)),
            Self::Count(count) => count.to_string(),
            Self::Time(time) => quoted(&humantime::format_duration(*time).to_string()),
            Self::Switch(on) => on.to_string(),
            Self::Mode(mode) => quoted(&mode.to_string()),
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Exactly as many bytes, in the largest unit that does.
fn sized(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    let unit = UNITS
        .iter()
        .find(|(size, _)| bytes > 0 && bytes.is_multiple_of(*size));
    match unit {
        Some((size, name)) => format!("{}{name}", bytes / size),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again() {
        for setting in SETTINGS {
            let Some(value) = setting.default() else {
                continue;
            };
            let written = value.written();
            let parsed: toml::Value = toml::from_str::<toml::Table>(&format!("x = {written}"))
                .unwrap()
                .remove("x")
                .unwrap();
            let text = match parsed {
                toml::Value::String(text) => text,
                other => other.to_string(),
            };
            let again = setting.kind.read(&text, Path::new(""));
            assert_eq!(again, Ok(value), "{}", setting.key);
        }
        assert_eq!(sized(1025), "1025B");
        assert_eq!(sized(0), "0B");
        assert_eq!(sized(3 << 30), "3GiB");
    }

    #[test]
    fn an_address_is_a_number_or_a_name_with_a_port() {
        let read = |kind: Kind, text: &str| kind.read(text, Path::new(""));
        for right in [
            "127.0.0.1:6733",
            "[::1]:0",
            "localhost:6733",
            "a-host.example.org:80",
        ] {
            let value = Ok(Value::Address(right.to_owned()));
            assert_eq!(read(Kind::Address, right), value);
            assert_eq!(read(Kind::AddressOrOff, right), value);
        }
        for wrong in [
            "",
            ":6733",
            "localhost",
            "localhost:",
            "localhost:65536",
            "127.0.0:80",
            "127.1:80",
            "0x7f.1:80",
            "::1:80",
            "http://localhost:80",
            "local host:80",
            "OFF",
        ] {
            assert!(read(Kind::Address, wrong).is_err(), "{wrong}");
            assert!(read(Kind::AddressOrOff, wrong).is_err(), "{wrong}");
        }
        assert!(read(Kind::Address, "off").is_err());
        assert_eq!(read(Kind::AddressOrOff, "off"), Ok(Value::Off));
        let wanted = Kind::AddressOrOff.wanted();
        assert_eq!(
            wanted,
            "off, or an address or a name, with a port was expected, as 127.0.0.1:6734"
        );
    }

    #[test]
    fn every_limit_that_can_be_set_is_one() {
        for setting in SETTINGS {
            let value = match setting.kind {
                Kind::Bytes => Value::Bytes(12_345),
                Kind::Count => Value::Count(12_345),
                Kind::Time => Value::Time(Duration::from_secs(12_345)),
                _ => continue,
            };
            let mut limits = Limits::default();
            limit(&mut limits, setting.key, &value);
            let is_limit = setting.key.starts_with(LIMITS);
            assert_eq!(limits != Limits::default(), is_limit, "{}", setting.key);
        }
        // Each of them can be set: a new one has its line in `Debug`.
        let all = format!("{:?}", Limits::default()).matches(": ").count();
        let set = SETTINGS.iter().filter(|it| it.key.starts_with(LIMITS));
        assert_eq!(set.count(), all);
    }

    #[test]
    fn settings_have_names_of_their_own() {
        let mut names: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
    }
}
