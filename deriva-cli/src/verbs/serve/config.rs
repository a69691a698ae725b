//! What holds: the file, over it the environment, over it the command line.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use deriva::{Error, Result};
use deriva_server::Limits;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{Kind, SETTINGS, Setting, Value, limit};
use crate::exit::{Outcome, usage};
use crate::pipeline::{Mistake, Mistakes, suggest};

/// Where a setting was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Variable(String),
    Argument(&'static str),
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Argument(name) => f.write_str(name),
        }
    }
}

/// All settings that have a value, with where it comes from.
#[derive(Debug)]
pub(crate) struct Config(BTreeMap<&'static str, (Value, Origin)>);

impl Config {
    /// What holds where nobody sets anything.
    pub(crate) fn defaults() -> Self {
        let set = SETTINGS.iter().filter_map(|setting| {
            let value = setting.default()?;
            Some((setting.key, (value, Origin::Default)))
        });
        Self(set.collect())
    }

    /// What a file says goes over what is there. All of its mistakes are told at once.
    pub(crate) fn file(&mut self, path: &Path) -> Outcome {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| Error::io(source).with("file", path.display()))?;
        Ok(self.text(path, &text)?)
    }

    /// What stands in a file goes over what is there.
    ///
    /// # Errors
    /// All of its mistakes.
    pub(crate) fn text(&mut self, path: &Path, text: &str) -> Result<(), Mistakes> {
        let mut mistakes = Vec::new();
        let folder = path.parent().unwrap_or(Path::new(""));
        match DeTable::parse(text) {
            Ok(table) => {
                let mut reading = Reading {
                    config: self,
                    mistakes: &mut mistakes,
                    path,
                    text,
                    folder,
                };
                reading.table("", table.get_ref());
            }
            Err(mistake) => {
                let at = mistake.span().unwrap_or(0..0);
                mistakes.push(Mistake::new(at, mistake.message()));
            }
        }
        match mistakes.is_empty() {
            true => Ok(()),
            false => Err(Mistakes::new(path, text, mistakes)),
        }
    }

    /// What the environment says goes over what is there.
    ///
    /// # Errors
    /// `Invalid` for a variable that is not what its setting has to be.
    pub(crate) fn environment(&mut self, read: impl Fn(&str) -> Option<String>) -> Result<()> {
        for setting in SETTINGS {
            let name = setting.variable();
            let Some(text) = read(&name).filter(|text| !text.is_empty()) else {
                continue;
            };
            let value = setting.read(&text, Path::new(""));
            let value =
                value.map_err(|what| usage(what).with("variable", &name).with("found", &text))?;
            self.0.insert(setting.key, (value, Origin::Variable(name)));
        }
        Ok(())
    }

    /// What was said on the command line goes over what is there.
    ///
    /// # Errors
    /// `Invalid` for a setting that there is not, and for what it cannot be.
    pub(crate) fn argument(&mut self, name: &'static str, key: &str, text: &str) -> Result<()> {
        let Some(setting) = Setting::of(key) else {
            let error = usage("there is no such setting").with("setting", key);
            let near = suggest(key, SETTINGS.iter().map(|setting| setting.key));
            return Err(match near {
                Some(near) => error.hint(near),
                None => error,
            });
        };
        let value = setting.read(text, Path::new("")).map_err(|what| {
            let error = usage(what).with("argument", name);
            error.with("setting", key).with("found", text)
        })?;
        self.0.insert(setting.key, (value, Origin::Argument(name)));
        Ok(())
    }

    /// What a setting is, and where that comes from.
    pub(crate) fn get(&self, key: &str) -> Option<(&Value, &Origin)> {
        self.0.get(key).map(|(value, origin)| (value, origin))
    }

    /// What callers of the server may ask for.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for (key, (value, _)) in &self.0 {
            limit(&mut limits, key, value);
        }
        limits
    }
}

/// A file that is being read.
struct Reading<'a> {
    config: &'a mut Config,
    mistakes: &'a mut Vec<Mistake>,
    path: &'a Path,
    text: &'a str,
    folder: &'a Path,
}

impl Reading<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let is_table = |setting: &&Setting| setting.key.starts_with(&format!("{key}."));
            if let Some(setting) = Setting::of(&key) {
                self.set(setting, value);
            } else if SETTINGS.iter().any(|setting| is_table(&setting)) {
                match value.get_ref() {
                    DeValue::Table(inner) => self.table(&format!("{key}."), inner),
                    _ => {
                        let what = format!("`{key}` is a table of settings");
                        self.mistakes.push(Mistake::new(value.span(), what));
                    }
                }
            } else {
                let what = format!("there is no setting `{key}`");
                let mistake = Mistake::new(name.span(), what);
                let near = suggest(&key, SETTINGS.iter().map(|setting| setting.key));
                self.mistakes.push(match near {
                    Some(near) => mistake.help(near),
                    None => mistake,
                });
            }
        }
    }

    fn set(&mut self, setting: &'static Setting, value: &Spanned<DeValue<'_>>) {
        let text = match (value.get_ref(), setting.kind) {
            (DeValue::String(text), _) => Ok(text.to_string()),
            (DeValue::Integer(number), Kind::Count | Kind::Bytes) => Ok(number.to_string()),
            (DeValue::Boolean(on), Kind::Switch) => Ok(on.to_string()),
            (_, kind) => Err(kind.wanted()),
        };
        let read = text.and_then(|text| setting.read(&text, self.folder));
        match read {
            Ok(value_read) => {
                let line = 1 + self.text[..value.span().start].matches('\n').count();
                let origin = Origin::File {
                    path: self.path.to_owned(),
                    line,
                };
                self.config.0.insert(setting.key, (value_read, origin));
            }
            Err(what) => {
                let what = format!("`{}`: {what}", setting.key);
                self.mistakes.push(Mistake::new(value.span(), what));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Failure;

    fn of_file(text: &str) -> Result<Config, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("serve.toml");
        std::fs::write(&path, text).unwrap();
        let mut config = Config::defaults();
        config.file(&path)?;
        Ok(config)
    }

    fn written(config: &Config, key: &str) -> String {
        config
            .get(key)
            .map(|(value, _)| value.written())
            .unwrap_or_default()
    }

    #[test]
    fn the_command_line_goes_over_the_environment_and_that_over_the_file() {
        let text = "listen = \"127.0.0.1:1\"\n[limits]\nbatch = 7\nrequests = 8\nconnections = 9\n";
        let mut config = of_file(text).unwrap();
        let variable = |name: &str| match name {
            "DERIVA_SERVE_LIMITS_REQUESTS" => Some("10".to_owned()),
            "DERIVA_SERVE_LIMITS_CONNECTIONS" => Some("11".to_owned()),
            _ => None,
        };
        config.environment(variable).unwrap();
        config
            .argument("--set", "limits.connections", "12")
            .unwrap();
        let limits = config.limits();
        assert_eq!(
            (limits.batch, limits.requests, limits.connections),
            (7, 10, 12)
        );
        let origin = |key: &str| {
            config
                .get(key)
                .map(|(_, origin)| origin.to_string())
                .unwrap()
        };
        assert!(origin("limits.batch").ends_with("serve.toml:3"));
        assert_eq!(origin("limits.requests"), "DERIVA_SERVE_LIMITS_REQUESTS");
        assert_eq!(origin("limits.connections"), "--set");
        assert_eq!(origin("limits.nodes"), "default");
        assert_eq!(written(&config, "listen"), "\"127.0.0.1:1\"");
    }

    #[test]
    fn all_mistakes_of_a_file_are_told_with_their_places() {
        let text = "lisen = \"127.0.0.1:1\"\nhttp = 5\nstore = 5\n[limits]\nbatch = \"many\"\nx = 1\nrequests = 0\n\
                    keepalive = \"0s\"\n[tls]\ncert = []\n";
        let Err(Failure::Mistakes(mistakes)) = of_file(text) else {
            panic!("a file with mistakes was taken");
        };
        let body = mistakes.body();
        for expected in [
            "serve.toml:1:1: there is no setting `lisen`",
            "did you mean `listen`?",
            "serve.toml:2:8: `http`: an address and a port was expected, as 127.0.0.1:6733",
            "serve.toml:3:9: `store`: text was expected",
            "serve.toml:5:9: `limits.batch`: a whole number was expected",
            "serve.toml:6:1: there is no setting `limits.x`",
            "serve.toml:7:12: `limits.requests`: a number from 1 to 1048576 was expected",
            "serve.toml:8:13: `limits.keepalive`: a time longer than zero was expected",
            "serve.toml:10:8: `tls.cert`",
        ] {
            assert!(body.contains(expected), "{expected} in {body}");
        }
        assert!(of_file("limits = 3").is_err());
        assert!(of_file("= 3").is_err());
    }

    #[test]
    fn a_wrong_variable_and_a_wrong_argument_are_named() {
        let mut config = Config::defaults();
        let wrong = |name: &str| (name == "DERIVA_SERVE_HTTP").then(|| "here".to_owned());
        let error = config.environment(wrong).unwrap_err();
        assert_eq!(error.context("variable"), Some("DERIVA_SERVE_HTTP"));
        assert_eq!(error.context("found"), Some("here"));
        let error = config.argument("--set", "limits.bach", "1").unwrap_err();
        assert_eq!(error.advice(), Some("did you mean `limits.batch`?"));
        assert!(config.argument("--listen", "listen", "nowhere").is_err());
    }

    #[test]
    fn a_file_that_is_named_in_a_file_lies_beside_it() {
        let config = of_file("tokens = \"tokens.toml\"\n").unwrap();
        let Some((Value::Path(path), _)) = config.get("tokens") else {
            panic!("there are tokens");
        };
        assert!(path.is_absolute() && path.ends_with("tokens.toml"));
    }
}
