use super::{
    Config, ConfigError, ConfigErrors, SourceMap, check, environment::Environment, interpolate::Variables, keys, merge,
    policy, schema, source_map, tree::Tree,
};
use crate::files::Stamp;
use serde_json::Value;
use serde_path_to_error::Segment;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The variable that holds the configuration itself, where there is no file system to write to.
const IN_A_VARIABLE: &str = "EDGEWAY_CONFIG";

/// A configuration, where each of its values stands, and what is unwise in it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Arc<Config>,
    /// The places.
    pub sources: SourceMap,
    /// What works and should still be changed, in the form of errors.
    pub warnings: Vec<String>,
    /// What its files were like before they were read; none where it is no file.
    pub stamps: Vec<(PathBuf, Option<Stamp>)>,
}

impl Config {
    /// Read and check a file, or a folder whose `*.yaml` and `*.yml` files are merged in the order of their names.
    ///
    /// # Errors
    /// Everything that is wrong, in one run.
    pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
        let name = path.display().to_string();
        let environment = Environment::read()?;
        let variables = |variable: &str| environment.get(variable);
        // Before they are read: a change meanwhile is another one.
        let stamps = Self::stamps(path);
        let files = files(path).map_err(|error| unreadable(&name, &error))?;
        if files.is_empty() {
            return Err(SourceMap::new(&name).error("", "no *.yaml file in this folder; write one").into());
        }
        let mut tree = Tree::read("", &name, &variables, &HashMap::new());
        for file in files {
            let name = file.display().to_string();
            let text = fs::read_to_string(&file).map_err(|error| unreadable(&name, &error))?;
            let more = Tree::read(&text, &name, &variables, &merge::begun(&tree));
            merge::absorb(&mut tree, more);
        }
        Ok(Loaded { stamps, ..finish(tree)? })
    }

    /// What the files of [`Config::load`] are like now: two that differ tell of a change. `None`: not there.
    pub fn stamps(path: &Path) -> Vec<(PathBuf, Option<Stamp>)> {
        let all = files(path).unwrap_or_else(|_| vec![path.to_owned()]);
        all.into_iter().map(|file| (file.clone(), Stamp::of(&file).ok())).collect()
    }

    /// Read and check the text of the variable `EDGEWAY_CONFIG`.
    ///
    /// # Errors
    /// As [`Config::load`]; places name the variable as the file.
    pub fn from_environment() -> Result<Loaded, ConfigErrors> {
        let environment = Environment::read()?;
        let text = environment.get(IN_A_VARIABLE);
        let text = text.ok_or_else(|| SourceMap::new(IN_A_VARIABLE).error("", "this variable is not set; set it"))?;
        Self::parse(&text, IN_A_VARIABLE, &|variable| environment.get(variable))
    }

    /// Read and check a text. `file` is what errors call it, `variables` looks up what `${NAME}` means.
    ///
    /// # Errors
    /// Everything that is wrong, in one run.
    pub fn parse(text: &str, file: &str, variables: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, ConfigErrors> {
        finish(Tree::read(text, file, variables as Variables<'_>, &HashMap::new()))
    }

    /// The JSON Schema of the file, for editors.
    pub fn schema() -> Value {
        schema::schema()
    }
}

/// From a tree to the types, through every check.
fn finish(mut tree: Tree) -> Result<Loaded, ConfigErrors> {
    let mut errors = std::mem::take(&mut tree.errors);
    if tree.value.is_null() && !tree.broken {
        errors.push(tree.sources.error("", "the file is empty; conf/minimal.yaml shows the least that is useful"));
    } else if !tree.broken {
        let known = errors.len();
        errors.extend(schema::check(&mut tree));
        errors.extend(check::check(&tree));
        // A value that could not be read says nothing about its shape.
        let (unread, found) = errors.split_at(known);
        let is_new = |error: &&ConfigError| unread.iter().all(|earlier| earlier.path != error.path);
        errors = unread.iter().chain(found.iter().filter(is_new)).cloned().collect();
    }
    if !errors.is_empty() {
        return Err(ConfigErrors::sorted(errors));
    }
    keys::forget_unused(&mut tree);
    let config = typed(&tree)?;
    let found = policy::findings(&config, &tree.sources);
    if !found.errors.is_empty() {
        return Err(ConfigErrors::sorted(found.errors));
    }
    let warnings = found.warnings.iter().map(ToString::to_string).collect();
    Ok(Loaded { config: Arc::new(config), sources: tree.sources, warnings, stamps: Vec::new() })
}

/// The schema let it through, so only what a schema cannot say is left: a whole number that is written as a fraction.
fn typed(tree: &Tree) -> Result<Config, ConfigError> {
    serde_path_to_error::deserialize(&tree.value).map_err(|error| {
        let step = |pointer: String, segment: &Segment| match segment {
            Segment::Seq { index } => format!("{pointer}/{index}"),
            Segment::Map { key } => source_map::below(&pointer, key),
            Segment::Enum { variant } => source_map::below(&pointer, variant),
            Segment::Unknown => pointer,
        };
        let pointer = error.path().iter().fold(String::new(), step);
        let reason = error.inner().to_string();
        // serde's own words repeat the value, ours do not.
        let is_ours = !reason.starts_with("invalid ") && !reason.starts_with("unknown ");
        tree.sources
            .error(&pointer, if is_ours { reason } else { "does not fit here; see conf/reference.yaml".to_owned() })
    })
}

/// The file itself, or the files of a folder in the order of their names.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    // Kubernetes keeps the former contents of a mounted folder beside it, in hidden ones.
    files.retain(|file| file.extension().is_some_and(|kind| kind == "yaml" || kind == "yml") && file.is_file());
    files.sort();
    Ok(files)
}

fn unreadable(name: &str, error: &io::Error) -> ConfigErrors {
    let reason = match error.kind() {
        io::ErrorKind::InvalidData => "not UTF-8; save it as UTF-8".to_owned(),
        io::ErrorKind::NotFound => format!("{error}; check the path"),
        _ => format!("{error}; the gateway must be able to read it"),
    };
    SourceMap::new(name).error("", reason).into()
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
