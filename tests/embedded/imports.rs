//! Reads the sources for what each file names of the others, for `layers.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A path's names, from the root of the crate on.
pub type Names = Vec<String>;

/// Every source file by its path below `src`.
pub fn sources() -> BTreeMap<String, String> {
    fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    collect(&root, &root, &mut found);
    found
}

/// The text without line comments, and without blanks but for those between two words.
pub fn code(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let line = line.trim();
        let line = line.find("//").filter(|at| !line[..*at].ends_with(':')).map_or(line, |at| &line[..at]);
        for word in line.split_whitespace() {
            if code.ends_with(is_word) && word.starts_with(is_word) {
                code.push(' ');
            }
            code.push_str(word);
        }
    }
    code
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// One path of a tree of them, and the name that it gives what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    path: Names,
    name: String,
}

/// Takes a path apart, with all its groups: `a::{b, c::D as E}`. What follows the path is left alone.
fn tree(text: &str) -> Vec<Named> {
    fn read(rest: &mut &str, before: &[String], found: &mut Vec<Named>) {
        let mut path = before.to_vec();
        loop {
            if let Some(group) = rest.strip_prefix('{') {
                *rest = group;
                while !rest.is_empty() && !rest.starts_with('}') {
                    let length = rest.len();
                    read(rest, &path, found);
                    *rest = rest.strip_prefix(',').unwrap_or(rest);
                    if rest.len() == length {
                        return;
                    }
                }
                *rest = rest.strip_prefix('}').unwrap_or(rest);
                return;
            }
            let end = if rest.starts_with('*') { 1 } else { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) };
            let (name, after) = rest.split_at(end);
            *rest = after;
            if name != "self" || path.is_empty() {
                path.extend((!name.is_empty()).then(|| name.to_owned()));
            }
            match rest.strip_prefix("::") {
                Some(after) if after.starts_with(|c| is_word(c) || c == '{' || c == '*') => *rest = after,
                _ => break,
            }
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if let Some(after) = rest.strip_prefix(" as ") {
            let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
            after[..end].clone_into(&mut name);
            *rest = &after[end..];
        }
        found.push(Named { path, name });
    }
    let mut found = Vec::new();
    read(&mut { text }, &[], &mut found);
    found
}

/// Where a word stands by itself, not as a part of another or of a path.
fn places<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word)
        .map(|(start, _)| start)
        .filter(|start| !code[..*start].ends_with(|c| is_word(c) || c == ':' || c == '$'))
}

/// Every path below a root such as `crate::`, groups taken apart.
pub fn paths_below(code: &str, root: &str) -> BTreeSet<Names> {
    let below = places(code, root).flat_map(|start| tree(&code[start + root.len()..]));
    below.map(|named| named.path).filter(|path| !path.is_empty()).collect()
}
