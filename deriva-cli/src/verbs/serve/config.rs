//! What holds: the file, over it the environment, over it the command line.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use deriva::authors::nearest;
use deriva::{Error, Result};
use deriva_server::Limits;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{Kind, SETTINGS, Setting, Value, limit};
use crate::exit::{Outcome, usage};
use crate::pipeline::{Mistake, Mistakes, suggest};

/// The variable that names the file.
pub(crate) const CONFIG: &str = "DERIVA_SERVE_CONFIG";
/// How variables of settings begin; two begin otherwise, as other verbs have them, too.
const OURS: &str = "DERIVA_SERVE_";

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
        if path.is_dir() {
            let what = "a file of settings (TOML) was expected, and this is a folder";
            let file = path.join("deriva.toml");
            return Err(usage(what)
                .with("folder", path.display())
                .hint(format!("name a file in it, as {}", file.display()))
                .into());
        }
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

    /// What the environment says goes over what is there. A variable that is set to nothing says nothing. What is wrong is answered, all
    /// of it: variables that are not what their setting has to be, and those that begin as ours do and are none.
    pub(crate) fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Vec<Error> {
        let variables: BTreeMap<String, String> = variables
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .collect();
        let mut wrong = Vec::new();
        let mut known: Vec<String> = vec![CONFIG.to_owned()];
        for setting in SETTINGS {
            let name = setting.variable();
            if let Some(text) = variables.get(&name) {
                match setting.read(text, Path::new("")) {
                    Ok(value) => {
                        let origin = Origin::Variable(name.clone());
                        self.0.insert(setting.key, (value, origin));
                    }
                    Err(what) => {
                        wrong.push(usage(what).with("variable", &name).with("found", text))
                    }
                }
            }
            known.push(name);
        }
        for name in variables.keys() {
            if name.starts_with(OURS) && !known.contains(name) {
                let error = usage("there is no setting of this variable").with("variable", name);
                wrong.push(error.hint(meant(name, &known)));
            }
        }
        wrong
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

/// Which variable may be meant by one that there is not. What all of them begin with makes none like another.
fn meant(name: &str, known: &[String]) -> String {
    let own = |name: &str| {
        let name = name.strip_prefix(OURS).or(name.strip_prefix("DERIVA_"));
        name.unwrap_or_default().to_owned()
    };
    let names: Vec<String> = known.iter().map(|name| own(name)).collect();
    let near = nearest(&own(name), names.iter().map(String::as_str));
    let near = near.and_then(|near| known.iter().find(|name| own(name) == near));
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`deriva serve --print-config` lists the settings; DERIVA_SERVE_LIMITS_BATCH is the variable of limits.batch"
            .to_owned(),
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

    fn environment(config: &mut Config, variables: &[(&str, &str)]) -> Vec<Error> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        config.environment(variables.iter().map(owned))
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
        let variables = [
            ("DERIVA_SERVE_LIMITS_REQUESTS", "10"),
            ("DERIVA_SERVE_LIMITS_CONNECTIONS", "11"),
            ("DERIVA_SERVE_CONFIG", "serve.toml"),
            ("DERIVA_SERVE_LIMITS_BATCH", ""),
            ("DERIVA_OF_OTHERS", "x"),
        ];
        assert!(environment(&mut config, &variables).is_empty());
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
            "serve.toml:2:8: `http`: off, or an address or a name, with a port was expected, as 127.0.0.1:6734",
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
        let variables = [
            ("DERIVA_SERVE_HTTP", "here"),
            ("DERIVA_SERVE_LIMITS_REQUEST", "1"),
            ("DERIVA_SERVE_STORE", "memory:"),
        ];
        let wrong = environment(&mut config, &variables);
        let named: Vec<_> = wrong
            .iter()
            .map(|error| error.context("variable"))
            .collect();
        assert_eq!(named, variables.map(|(name, _)| Some(name)));
        assert_eq!(wrong[0].context("found"), Some("here"));
        let near = "did you mean `DERIVA_SERVE_LIMITS_REQUESTS`?";
        assert_eq!(wrong[1].advice(), Some(near));
        assert_eq!(wrong[2].advice(), Some("did you mean `DERIVA_STORE`?"));
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
