//! What holds: what was chosen, else what the environment says, else the default.

use std::ffi::OsString;
use std::time::Duration;

use deriva_api::{Error, ErrorKind, Result};
use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use percent_encoding::percent_decode_str;
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Endpoint, Uri};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use crate::builder::OtelBuilder;

const DISABLED: &str = "OTEL_SDK_DISABLED";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";

/// What sends, as its targets begin. A span of it would be sent by it, and so on.
const SENDERS: [&str; 6] = [
    "h2::",
    "hyper::",
    "hyper_util::",
    "tonic::",
    "tower::",
    "opentelemetry",
];

/// A variable of the environment.
type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

pub(crate) struct Settings {
    pub(crate) url: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: MetadataMap,
    pub(crate) timeout: Duration,
    pub(crate) resource: Resource,
    pub(crate) sampling: Option<f64>,
    pub(crate) spans: Targets,
    pub(crate) queue: Option<usize>,
    pub(crate) delay: Option<Duration>,
    pub(crate) metrics_interval: Duration,
}

impl Settings {
    /// `None` where the environment says that nothing is to be sent.
    pub(crate) fn new(chosen: OtelBuilder, env: Env<'_>) -> Result<Option<Self>> {
        if text(env, DISABLED)?.is_some_and(|said| said.trim().eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        if let Some(protocol) = text(env, PROTOCOL)?.filter(|said| said != "grpc") {
            let what = "only OTLP over gRPC can be sent";
            return Err(Error::new(ErrorKind::Unsupported, what)
                .with(PROTOCOL, protocol)
                .hint("set it to grpc, and name the collector's port for that, as a rule 4317"));
        }
        let (url, from) = match chosen.endpoint {
            Some(url) => (url, "endpoint"),
            None => match text(env, ENDPOINT)? {
                Some(url) => (url, ENDPOINT),
                None => ("http://localhost:4317".to_owned(), "endpoint"),
            },
        };
        let timeout = millis(env, TIMEOUT)?;
        let timeout = chosen.timeout.or(timeout);
        let timeout = timeout.unwrap_or(Duration::from_secs(10));
        let timeout = in_range("timeout", timeout)?;
        let endpoint = endpoint(&url, from)?;
        let endpoint = endpoint.timeout(timeout).connect_timeout(timeout);
        let interval = chosen.metrics_interval.or(millis(env, INTERVAL)?);
        let interval = interval.unwrap_or(Duration::from_secs(60));
        if let Some(delay) = chosen.delay {
            in_range("delay", delay)?;
        }
        if let Some(queue) = chosen.queue
            && !(1..=OtelBuilder::MAX_QUEUE).contains(&queue)
        {
            let what = "the queue is out of range";
            return Err(invalid(what)
                .with("queue", queue)
                .hint(format!("choose 1 to {} spans", OtelBuilder::MAX_QUEUE)));
        }
        if let Some(share) = chosen.sampling
            && !(0.0..=1.0).contains(&share)
        {
            return Err(invalid("a share was expected")
                .with("sampling", share)
                .hint("choose 0 to 1"));
        }
        Ok(Some(Self {
            endpoint,
            url,
            headers: headers(chosen.headers, text(env, HEADERS)?)?,
            timeout,
            resource: resource(chosen.service_name, chosen.attributes)?,
            sampling: chosen.sampling,
            spans: spans(&chosen.spans)?,
            queue: chosen.queue,
            delay: chosen.delay,
            metrics_interval: in_range("metrics_interval", interval)?,
        }))
    }
}

fn invalid(what: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, what)
}

/// A variable that is set to something.
fn text(env: Env<'_>, name: &'static str) -> Result<Option<String>> {
    let Some(value) = env(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = value.into_string().map_err(|value| {
        invalid("a variable of the environment is no text").with(name, value.display())
    })?;
    Ok(Some(text))
}

fn millis(env: Env<'_>, name: &'static str) -> Result<Option<Duration>> {
    let Some(text) = text(env, name)? else {
        return Ok(None);
    };
    let millis = text.trim().parse::<u64>().map_err(|source| {
        invalid("a number of milliseconds was expected")
            .with(name, &text)
            .caused_by(source)
    })?;
    Ok(Some(Duration::from_millis(millis)))
}

fn in_range(name: &'static str, time: Duration) -> Result<Duration> {
    if (Duration::from_millis(1)..=OtelBuilder::MAX_TIME).contains(&time) {
        return Ok(time);
    }
    Err(invalid("a time is out of range")
        .with(name, format!("{time:?}"))
        .hint("choose 1 ms to an hour"))
}

/// The collector. Only what gRPC without TLS can reach.
fn endpoint(url: &str, from: &'static str) -> Result<Endpoint> {
    const FORM: &str = "the form is http://HOST:PORT, as http://localhost:4317";
    let wrong = |kind, what: &'static str| Error::new(kind, what).with(from, url);
    let unformed = || wrong(ErrorKind::Invalid, "this is no URL of a collector").hint(FORM);
    let uri = url.parse::<Uri>();
    let uri = uri.map_err(|source| unformed().caused_by(source))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            let what = "connections to a collector are not encrypted here";
            return Err(wrong(ErrorKind::Unsupported, what).hint(
                "send to a collector on this machine, as http://localhost:4317, and let it send on",
            ));
        }
        _ => return Err(unformed()),
    }
    let host = uri.host().unwrap_or_default();
    let authority = uri.authority().map_or("", |it| it.as_str());
    let port = authority.strip_prefix(host).unwrap_or("@");
    let has_port = match port.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    if host.is_empty() || !has_port {
        return Err(unformed());
    }
    if uri.path() != "/" || uri.query().is_some() {
        let what = "the URL of a collector has no path, for gRPC";
        return Err(wrong(ErrorKind::Invalid, what).hint(
            "name host and port alone; 4318 is as a rule the port for HTTP, and 4317 that for gRPC",
        ));
    }
    Ok(Endpoint::from(uri))
}

/// Those that were chosen, and those of the environment in their place.
fn headers(chosen: Vec<(String, String)>, env: Option<String>) -> Result<MetadataMap> {
    let mut all = chosen;
    for pair in env.iter().flat_map(|env| env.split(',')) {
        if pair.trim().is_empty() {
            continue;
        }
        let Some((name, value)) = pair.split_once('=') else {
            // What stands there may be a secret, so it is not shown.
            return Err(invalid("a header has no value")
                .with("variable", HEADERS)
                .hint("the form is NAME=VALUE, several by commas, values percent-encoded"));
        };
        let value = percent_decode_str(value.trim()).decode_utf8_lossy();
        all.push((name.trim().to_owned(), value.into_owned()));
    }
    let mut headers = MetadataMap::new();
    for (name, value) in all {
        let key = name.to_ascii_lowercase();
        let key = MetadataKey::<Ascii>::from_bytes(key.as_bytes()).map_err(|source| {
            invalid("this is no name of a header")
                .with("header", format!("{name:?}"))
                .caused_by(source)
                .hint("names are letters, digits and dashes, and do not end in -bin")
        })?;
        let unsendable = || {
            invalid("a header has a value that cannot be sent")
                .with("header", &name)
                .hint("values are of printable ASCII characters")
        };
        if !value.bytes().all(|c| matches!(c, b' '..=b'~')) {
            return Err(unsendable());
        }
        let value = value.parse::<MetadataValue<Ascii>>();
        let value = value.map_err(|source| unsendable().caused_by(source))?;
        headers.insert(key, value);
    }
    Ok(headers)
}

/// Who sends.
fn resource(name: Option<String>, attributes: Vec<(String, String)>) -> Result<Resource> {
    const INSTANCE: &str = "service.instance.id";
    if name.as_deref().is_some_and(|name| name.trim().is_empty()) {
        return Err(invalid("a service has a name").hint("choose one, as previews"));
    }
    if attributes.iter().any(|(key, _)| key.trim().is_empty()) {
        return Err(
            invalid("an attribute has a name").hint("choose one, as deployment.environment.name")
        );
    }
    // What the environment says is in it from the beginning.
    let found = Resource::builder().build();
    let is_unknown = found
        .get(&Key::new("service.name"))
        .is_none_or(|name| name.as_str().starts_with("unknown_service"));
    let mut resource = Resource::builder();
    if found.get(&Key::new(INSTANCE)).is_none() {
        let drawn = RandomIdGenerator::default().new_trace_id();
        resource = resource.with_attribute(KeyValue::new(INSTANCE, drawn.to_string()));
    }
    if is_unknown {
        resource = resource.with_service_name("deriva");
    }
    let attributes = attributes.into_iter();
    resource = resource.with_attributes(attributes.map(|(key, value)| KeyValue::new(key, value)));
    if let Some(name) = name {
        resource = resource.with_service_name(name);
    }
    Ok(resource.build())
}

/// Which spans are recorded.
fn spans(levels: &str) -> Result<Targets> {
    let chosen = levels.parse::<Targets>().map_err(|source| {
        invalid("levels of spans were expected")
            .with("spans", format!("{levels:?}"))
            .caused_by(source)
            .hint("the form is LEVEL,TARGET=LEVEL, as info,deriva=trace")
    })?;
    Ok(chosen.with_targets(SENDERS.map(|target| (target, LevelFilter::OFF))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed step fails the test")]
mod tests {
    use super::*;

    fn chosen() -> OtelBuilder {
        OtelBuilder::new()
    }

    fn with_env(chosen: OtelBuilder, env: &[(&str, &str)]) -> Result<Option<Settings>> {
        Settings::new(chosen, &|name| {
            let found = env.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn refused(chosen: OtelBuilder, env: &[(&str, &str)]) -> Error {
        let shown = format!("{chosen:?} {env:?}");
        let error = with_env(chosen, env).err().expect(&shown);
        assert!(
            error.contexts().count() > 0 || error.advice().is_some(),
            "{error:#}"
        );
        error
    }

    fn held(chosen: OtelBuilder, env: &[(&str, &str)]) -> Settings {
        with_env(chosen, env).unwrap().unwrap()
    }

    #[test]
    fn the_default_is_a_collector_on_this_machine() {
        for empty in [
            &[][..],
            &[(ENDPOINT, ""), (TIMEOUT, ""), (HEADERS, ""), (PROTOCOL, "")],
        ] {
            let held = held(chosen(), empty);
            assert_eq!(held.url, "http://localhost:4317");
            assert_eq!(held.timeout, Duration::from_secs(10));
            assert_eq!(held.metrics_interval, Duration::from_secs(60));
            assert!(held.headers.is_empty());
        }
    }

    #[test]
    fn what_is_chosen_goes_before_the_environment() {
        let env = [
            (ENDPOINT, "http://there:1"),
            (TIMEOUT, "1500"),
            (INTERVAL, " 250 "),
            (HEADERS, "api-key=a%20b, X-Other=c=d,,"),
            (PROTOCOL, "grpc"),
        ];
        let of_env = held(chosen(), &env);
        assert_eq!(of_env.url, "http://there:1");
        assert_eq!(of_env.timeout, Duration::from_millis(1500));
        assert_eq!(of_env.metrics_interval, Duration::from_millis(250));
        assert_eq!(of_env.headers.get("api-key").unwrap(), "a b");
        assert_eq!(of_env.headers.get("x-other").unwrap(), "c=d");
        let second = Duration::from_secs(1);
        let builder = chosen()
            .endpoint("http://here:2")
            .timeout(second)
            .metrics_interval(second)
            .header("API-Key", "chosen")
            .header("mine", "1");
        let both = held(builder, &env);
        assert_eq!(both.url, "http://here:2");
        assert_eq!((both.timeout, both.metrics_interval), (second, second));
        assert_eq!(
            both.headers.get("api-key").unwrap(),
            "a b",
            "as in the exporter"
        );
        assert_eq!(both.headers.get("mine").unwrap(), "1");
    }

    #[test]
    fn it_can_be_switched_off() {
        for (said, off) in [
            ("true", true),
            (" TRUE ", true),
            ("false", false),
            ("1", false),
        ] {
            let settings = with_env(chosen(), &[(DISABLED, said)]).unwrap();
            assert_eq!(settings.is_none(), off, "{said}");
        }
    }

    #[test]
    fn a_collector_that_cannot_be_reached_so_is_refused_with_the_form() {
        for (url, kind) in [
            ("localhost:4317", ErrorKind::Invalid),
            ("", ErrorKind::Invalid),
            ("http://", ErrorKind::Invalid),
            ("http://a b", ErrorKind::Invalid),
            ("http://host:port", ErrorKind::Invalid),
            ("http://user:secret@host:4317", ErrorKind::Invalid),
            ("ftp://host:4317", ErrorKind::Invalid),
            ("/var/run/otel.sock", ErrorKind::Invalid),
            ("http://localhost:4318/v1/traces", ErrorKind::Invalid),
            ("http://localhost:4317/?a=b", ErrorKind::Invalid),
            ("https://collector:4317", ErrorKind::Unsupported),
        ] {
            let error = refused(chosen().endpoint(url), &[]);
            assert_eq!(error.kind(), kind, "{url}: {error:#}");
            assert!(
                error
                    .advice()
                    .is_some_and(|it| it.contains("43") || it.contains("http")),
                "{error:#}"
            );
        }
        for url in [
            "http://localhost:4317/",
            "http://[::1]:4317",
            "http://collector",
        ] {
            held(chosen().endpoint(url), &[]);
        }
        let error = refused(chosen(), &[(ENDPOINT, "collector:4317")]);
        assert_eq!(error.context(ENDPOINT), Some("collector:4317"));
    }

    #[test]
    fn what_is_out_of_range_or_not_of_its_form_is_refused() {
        let hours = Duration::from_secs(7200);
        for wrong in [
            chosen().timeout(Duration::ZERO),
            chosen().timeout(hours),
            chosen().delay(Duration::ZERO),
            chosen().metrics_interval(hours),
            chosen().sampling(f64::NAN),
            chosen().sampling(1.5),
            chosen().sampling(-0.1),
            chosen().queue(0),
            chosen().queue(OtelBuilder::MAX_QUEUE + 1),
            chosen().service_name(" "),
            chosen().attribute("", "x"),
            chosen().header("", "x"),
            chosen().header("a b", "x"),
            chosen().header("token-bin", "x"),
            chosen().header("token", "line\nbreak"),
            chosen().spans("deriva=loud"),
        ] {
            let error = refused(wrong, &[]);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error:#}");
        }
        for (name, value) in [
            (TIMEOUT, "soon"),
            (TIMEOUT, "-1"),
            (TIMEOUT, "0"),
            (INTERVAL, "1s"),
            (HEADERS, "secret"),
            (HEADERS, "a=ä"),
        ] {
            let error = refused(chosen(), &[(name, value)]);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name}: {error:#}");
            assert!(!format!("{error:#}").contains("secret"), "{error:#}");
        }
        let error = refused(chosen(), &[(PROTOCOL, "http/protobuf")]);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", chosen().header("authorization", "Bearer 123"));
        assert!(
            shown.contains("authorization") && !shown.contains("123"),
            "{shown}"
        );
    }

    #[test]
    fn who_sends_has_a_name_and_a_mark_of_its_own() {
        let of = |resource: &Resource, key: &'static str| {
            let value = resource.get(&Key::new(key));
            value.map(|value| value.to_string())
        };
        let first = resource(None, Vec::new()).unwrap();
        let second = resource(None, Vec::new()).unwrap();
        assert_eq!(of(&first, "service.name").unwrap(), "deriva");
        let id = of(&first, "service.instance.id").unwrap();
        assert_ne!(Some(id), of(&second, "service.instance.id"));
        let attributes = vec![("service.instance.id".to_owned(), "7".to_owned())];
        let named = resource(Some("mine".to_owned()), attributes).unwrap();
        assert_eq!(of(&named, "service.name").unwrap(), "mine");
        assert_eq!(of(&named, "service.instance.id").unwrap(), "7");
    }

    #[test]
    fn what_sends_is_never_recorded() {
        let spans = spans("trace").unwrap();
        let all = tracing::Level::TRACE;
        assert!(spans.would_enable("deriva_runtime::materialize", &all));
        for target in [
            "h2::proto",
            "hyper_util::client",
            "tonic::transport",
            "tower::buffer",
        ] {
            assert!(
                !spans.would_enable(target, &tracing::Level::ERROR),
                "{target}"
            );
        }
        assert!(
            spans.would_enable("tower_http::trace", &all),
            "it serves the program"
        );
        let default = super::spans(OtelBuilder::DEFAULT_SPANS).unwrap();
        assert!(default.would_enable("deriva", &tracing::Level::DEBUG));
        assert!(!default.would_enable("deriva", &all));
        assert!(!default.would_enable("other", &tracing::Level::DEBUG));
    }
}
