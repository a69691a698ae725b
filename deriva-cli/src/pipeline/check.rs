//! From text to a checked [`Pipeline`], collecting every mistake on the way.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{MOST_SUGGESTED, Mistake, Mistakes, suggest};
use super::order::order;
use super::read::{self, Located, Table, table_of};
use super::step::{Draft, DraftOver, Functions, step};
use super::{OutputFile, Over, Pipeline, Ref, Source, Step};
use crate::walk::LISTS;

pub(super) fn parse(
    path: &Path,
    text: &str,
    functions: Functions<'_>,
) -> Result<Pipeline, Mistakes> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What the parser could not read would be reported again as missing, so its own complaints
        // stand alone.
        let list = errors
            .iter()
            .map(|error| {
                let at = error.span().unwrap_or(0..0);
                Mistake::new(
                    at.start.min(text.len())..at.end.min(text.len()),
                    error.message(),
                )
            })
            .collect();
        return Err(Mistakes::new(path, text, list));
    }
    let mut mistakes = Vec::new();
    let pipeline = document_of(path, text, document.get_ref(), functions, &mut mistakes);
    match pipeline {
        Some(pipeline) if mistakes.is_empty() => Ok(pipeline),
        _ => Err(Mistakes::new(path, text, mistakes)),
    }
}

fn document_of(
    path: &Path,
    text: &str,
    document: &DeTable<'_>,
    functions: Functions<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Pipeline> {
    let mut table = Table::new(document, "a pipeline", 0..0);
    let name = table.required("name", "\"corpus\"", mistakes);
    if let Some(name) = &name {
        check_name(name, "the pipeline's name", mistakes);
    }
    let root = table.text("root", mistakes);
    let output = table.text("output", mistakes);
    let (mut sources, mut drafts) = (Vec::new(), Vec::new());
    let mut names: HashMap<String, Ref> = HashMap::new();
    if let Some(value) = table.take("sources") {
        for (name, value) in read::entries(value, "`sources`", mistakes) {
            check_name(&name, "the name of a source", mistakes);
            names.insert(name.value.clone(), Ref::Source(sources.len()));
            sources.push(source(name, value, mistakes));
        }
    }
    if let Some(value) = table.take("steps") {
        for (name, value) in read::entries(value, "`steps`", mistakes) {
            check_name(&name, "the name of a step", mistakes);
            let taken = names.insert(name.value.clone(), Ref::Step(drafts.len()));
            if taken.is_some() {
                let message = format!("`{}` is the name of a source already", name.value);
                mistakes.push(Mistake::new(name.at.clone(), message));
            }
            drafts.push(step(name, value, functions, mistakes));
        }
    }
    for (missing, example) in [
        (
            sources.is_empty(),
            "a pipeline needs a source, such as `[sources.files]`",
        ),
        (
            drafts.is_empty(),
            "a pipeline needs a step, such as `[steps.words]`",
        ),
    ] {
        if missing {
            mistakes.push(Mistake::new(0..0, example));
        }
    }
    let steps = connect(drafts, &mut names, mistakes);
    let written = table.take("outputs");
    table.finish(mistakes);
    let Some(steps) = steps else {
        // What can be said of outputs without the steps is said too.
        if let Some(value) = written {
            outputs(value, None, &names, mistakes);
        }
        return None;
    };
    let mut pipeline = Pipeline {
        name: name.map(|name| name.value).unwrap_or_default(),
        root: root.map_or_else(|| PathBuf::from("."), |root| root.value.into()),
        output: output.map(|output| output.value.into()),
        sources,
        steps,
        outputs: Vec::new(),
        path: path.to_owned(),
        text: text.to_owned(),
    };
    if let Some(value) = written {
        pipeline.outputs = outputs(value, Some(&pipeline), &names, mistakes);
    }
    Some(pipeline)
}

fn source(
    name: Located<String>,
    value: &Spanned<DeValue<'_>>,
    mistakes: &mut Vec<Mistake>,
) -> Source {
    let empty = DeTable::new();
    let mut table = table_of(value, &empty, "a source", &name, mistakes);
    let include = table.texts("include", mistakes);
    let exclude = table.texts("exclude", mistakes);
    table.finish(mistakes);
    if include
        .as_ref()
        .is_none_or(|include| include.value.is_empty())
    {
        let message = format!("the source `{}` needs `include`", name.value);
        mistakes
            .push(Mistake::new(name.at.clone(), message).help("such as `include = [\"**/*.rs\"]`"));
    }
    let at = include
        .as_ref()
        .map_or(name.at, |include| include.at.clone());
    let excluded_folders = exclude.as_ref().map(|exclude| {
        let mut folders = exclude.value.clone();
        // Below such a folder there is nothing that the pattern does not match.
        folders.retain_mut(|pattern| {
            let folder = ["/**", "/**/*"]
                .iter()
                .find_map(|end| pattern.value.strip_suffix(end));
            folder.map(str::to_owned).is_some_and(|folder| {
                pattern.value = folder;
                true
            })
        });
        Located {
            value: folders,
            at: exclude.at.clone(),
        }
    });
    Source {
        name: name.value,
        include: globs(include, mistakes),
        // A pattern that is wrong is told of once.
        excluded_folders: globs(excluded_folders, &mut Vec::new()),
        exclude: globs(exclude, mistakes),
        at,
    }
}

fn globs(patterns: Option<Located<Vec<Located<String>>>>, mistakes: &mut Vec<Mistake>) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns.into_iter().flat_map(|patterns| patterns.value) {
        // Paths are relative to the root, which `./` names once more.
        let mut wanted = pattern.value.as_str();
        while let Some(rest) = wanted.strip_prefix("./") {
            wanted = rest.trim_start_matches('/');
        }
        if wanted.starts_with('/') || wanted.split('/').any(|part| part == "..") {
            let message =
                "this pattern can match nothing: files are named from the root of the sources";
            mistakes.push(
                Mistake::new(pattern.at, message)
                    .help("such as `docs/*.md`; `root` says where the sources are"),
            );
            continue;
        }
        // `*` stays within a folder, as in a shell; `**` crosses them.
        match GlobBuilder::new(wanted).literal_separator(true).build() {
            Ok(glob) => {
                set.add(glob);
            }
            Err(error) => mistakes.push(Mistake::new(
                pattern.at,
                format!("not a pattern for files: {}", error.kind()),
            )),
        }
    }
    set.build().unwrap_or_else(|error| {
        mistakes.push(Mistake::new(
            0..0,
            format!("these patterns cannot be matched: {error}"),
        ));
        GlobSet::empty()
    })
}

/// Looks up what steps read, and puts them in order. `names` follows the new order.
fn connect(
    drafts: Vec<Draft>,
    names: &mut HashMap<String, Ref>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Vec<Step>> {
    let mut overs = Vec::new();
    for draft in &drafts {
        overs.push(draft.over.as_ref().and_then(|over| match over {
            DraftOver::Each(from) => look_up(from, names, mistakes).map(Over::Each),
            DraftOver::All(from, fan_in) => {
                if from.is_empty() {
                    mistakes.push(Mistake::new(draft.at.clone(), "`inputs` names nothing"));
                }
                let from: Vec<_> = from.iter().map(|f| look_up(f, names, mistakes)).collect();
                let from = from.into_iter().collect::<Option<_>>()?;
                Some(Over::All {
                    from,
                    fan_in: *fan_in,
                })
            }
        }));
    }
    let needs: Vec<Vec<usize>> = overs
        .iter()
        .map(|over| {
            let refs = over.iter().flat_map(Over::refs);
            refs.filter_map(|from| match from {
                Ref::Step(step) => Some(*step),
                Ref::Source(_) => None,
            })
            .collect()
        })
        .collect();
    let order = match order(&needs) {
        Ok(order) => order,
        Err(cycle) => {
            let mut path: Vec<&str> = cycle
                .iter()
                .map(|i| drafts[*i].name.value.as_str())
                .collect();
            path.extend(path.first().copied());
            let at = cycle.first().map_or(0..0, |i| drafts[*i].at.clone());
            let message = format!(
                "steps read each other in a circle: {}",
                path.join(" reads ")
            );
            mistakes.push(Mistake::new(at, message));
            return None;
        }
    };
    let mut place = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    let moved = |from: Ref| match from {
        Ref::Step(old) => Ref::Step(place[old]),
        source => source,
    };
    for name in names.values_mut() {
        *name = moved(*name);
    }
    let mut drafts: Vec<_> = drafts.into_iter().zip(overs).map(Some).collect();
    let steps = order.iter().map(|old| {
        let (draft, over) = drafts[*old].take()?;
        let over = match over? {
            Over::Each(from) => Over::Each(moved(from)),
            Over::All { from, fan_in } => Over::All {
                from: from.into_iter().map(moved).collect(),
                fan_in,
            },
        };
        Some(Step {
            name: draft.name.value,
            function: draft.function?,
            params: draft.params,
            over,
            verify: draft.verify,
            at: draft.at,
        })
    });
    steps.collect()
}

fn look_up(
    name: &Located<String>,
    names: &HashMap<String, Ref>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Ref> {
    let found = names.get(&name.value).copied();
    if found.is_none() {
        let message = format!("there is no source or step `{}`", name.value);
        let mut mistake = Mistake::new(name.at.clone(), message);
        // To compare all names with all is for the eyes of nobody.
        if mistakes.len() < MOST_SUGGESTED {
            let mut known: Vec<&str> = names.keys().map(String::as_str).collect();
            known.sort_unstable();
            mistake.help = suggest(&name.value, known);
        }
        mistakes.push(mistake);
    }
    found
}

fn outputs(
    value: &Spanned<DeValue<'_>>,
    pipeline: Option<&Pipeline>,
    names: &HashMap<String, Ref>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<OutputFile> {
    let mut outputs: Vec<OutputFile> = Vec::new();
    // Outputs by their path, and one of those below each folder.
    let (mut paths, mut above) = (HashMap::new(), HashMap::<PathBuf, String>::new());
    for (path, value) in read::entries(value, "`outputs`", mistakes) {
        let step = read::text(value, "an output", mistakes);
        let from = step.and_then(|step| look_up(&step, names, mistakes));
        let clean = path.value.trim_end_matches('/').to_owned();
        let plain = Path::new(&clean)
            .components()
            .all(|c| matches!(c, Component::Normal(_)));
        if clean.is_empty() || !plain {
            let message = "an output is a relative path without `..`";
            mistakes.push(
                Mistake::new(path.at, message)
                    .help("say where outputs go with `output = \"DIR\"` or `--output DIR`"),
            );
            continue;
        }
        let Some(from) = from else { continue };
        if let Some(pipeline) = pipeline.filter(|_| path.value.ends_with('/'))
            && !pipeline.is_many(from)
        {
            let message = format!("`{}` gives one file, not a folder", pipeline.name_of(from));
            mistakes.push(Mistake::new(path.at, message).help(format!("write \"{clean}\"")));
            continue;
        }
        let folders: Vec<PathBuf> = Path::new(&clean)
            .ancestors()
            .map(Path::to_owned)
            .filter(|folder| !folder.as_os_str().is_empty())
            .collect();
        // The path itself comes first.
        let other = folders.iter().find_map(|folder| paths.get(folder));
        if let Some(other) = other.or_else(|| above.get(&folders[0])) {
            let message = format!("`{clean}` and the output `{other}` would overwrite each other");
            mistakes.push(Mistake::new(path.at, message));
            continue;
        }
        if folders.iter().any(|folder| folder.ends_with(LISTS)) {
            let message = format!("`{}` is where deriva keeps its lists", LISTS);
            mistakes.push(Mistake::new(path.at, message));
            continue;
        }
        for folder in &folders[1..] {
            above.entry(folder.clone()).or_insert_with(|| clean.clone());
        }
        paths.insert(folders[0].clone(), clean.clone());
        outputs.push(OutputFile {
            path: clean,
            from,
            at: path.at,
        });
    }
    outputs
}

fn check_name(name: &Located<String>, what: &str, mistakes: &mut Vec<Mistake>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.value.is_empty() || name.value.len() > 64 || !name.value.chars().all(allowed) {
        let message = format!("{what} is 1 to 64 ASCII letters, digits and . _ -");
        mistakes.push(Mistake::new(name.at.clone(), message));
    }
}
