//! Reads the sources for what each file names of the others, for `layers.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
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

/// The modules of a crate, each with what its file names. A file `x.rs` and the folder `x/` are one module. Tests are
/// left out.
pub struct Modules(BTreeMap<Names, Module>);

struct Module {
    file: String,
    /// What it names by a path from `crate` or `super`.
    paths: BTreeSet<Names>,
    /// What stands behind a name that it has by `use`.
    bound: BTreeMap<String, Names>,
}

impl Modules {
    pub fn read(sources: &BTreeMap<String, String>) -> Self {
        let mut modules = BTreeMap::new();
        for (file, text) in sources {
            let mut own: Names = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if own.iter().any(|name| name == "tests") || own == ["main"] {
                continue;
            }
            if own.last().is_some_and(|name| name == "mod") || own == ["lib"] {
                own.pop();
            }
            let code = code(text);
            // They stand last in a file.
            let code = code.split("#[cfg(test)]mod tests{").next().unwrap_or_default();
            let of_root = |root: &str| {
                let named = places(code, root).flat_map(|start| tree(&code[start..]));
                named.filter_map(|named| absolute(&own, named.path)).collect::<Vec<_>>()
            };
            let paths = [of_root("crate::"), of_root("super::")].concat().into_iter().collect();
            let used = places(code, "use ").flat_map(|start| tree(&code[start + "use ".len()..]));
            let bound = used
                .map(|named| {
                    let path = absolute(&own, named.path.clone());
                    // Without a root it is a module of this one, or of another crate.
                    (named.name, path.unwrap_or_else(|| own.iter().cloned().chain(named.path).collect()))
                })
                .collect();
            modules.insert(own, Module { file: file.clone(), paths, bound });
        }
        Self(modules)
    }

    /// The module in which a path ends, where its names are followed through what others pass on.
    fn home(&self, path: &[String], follow: usize) -> Names {
        let mut at = Vec::new();
        for (index, name) in path.iter().enumerate() {
            at.push(name.clone());
            if self.0.contains_key(&at) {
                continue;
            }
            at.pop();
            let bound = self.0.get(&at).and_then(|module| module.bound.get(name)).filter(|_| follow > 0);
            let Some(bound) = bound else { break };
            let onward: Names = bound.iter().chain(&path[index + 1..]).cloned().collect();
            return self.home(&onward, follow - 1);
        }
        at
    }

    /// Which of its siblings each module names, in every folder, and where.
    fn siblings(&self) -> BTreeMap<Names, BTreeMap<String, BTreeMap<String, String>>> {
        let mut folders: BTreeMap<Names, BTreeMap<String, BTreeMap<String, String>>> = BTreeMap::new();
        for (own, module) in &self.0 {
            for path in &module.paths {
                let other = self.home(path, 8);
                let common = own.iter().zip(&other).take_while(|(a, b)| a == b).count();
                if let (Some(from), Some(to)) = (own.get(common), other.get(common)) {
                    let edges = folders.entry(own[..common].to_vec()).or_default().entry(from.clone()).or_default();
                    edges.entry(to.clone()).or_insert_with(|| format!("{} names {}", module.file, path.join("::")));
                }
            }
        }
        folders
    }

    /// The circles between modules of one folder, each as short as it can be and told once.
    pub fn circles(&self) -> BTreeSet<String> {
        let mut circles = BTreeSet::new();
        for (folder, edges) in self.siblings() {
            for from in edges.keys() {
                let Some(mut circle) = way_back(&edges, from) else { continue };
                let first = circle.iter().enumerate().min_by_key(|(_, name)| *name).map_or(0, |(index, _)| index);
                circle.rotate_left(first);
                let next = circle.iter().cycle().skip(1);
                let why: Vec<&str> = circle.iter().zip(next).map(|(from, to)| edges[from][to].as_str()).collect();
                let place: String = folder.iter().map(|name| format!("{name}/")).collect();
                circles.insert(format!("src/{place}: {} ({})", circle.join(" -> "), why.join("; ")));
            }
        }
        circles
    }
}

/// The shortest way from a module by its siblings to itself.
fn way_back(edges: &BTreeMap<String, BTreeMap<String, String>>, start: &str) -> Option<Names> {
    let mut ways = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in edges.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push_back(way.iter().chain([next]).cloned().collect());
            }
        }
    }
    None
}

/// A path from the root of the crate on, where it begins at it or above its module.
fn absolute(own: &[String], path: Names) -> Option<Names> {
    let up = path.iter().take_while(|name| *name == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some(own.iter().chain(&path[1..]).cloned().collect()),
        "super" => Some(own[..own.len().checked_sub(up)?].iter().chain(&path[up..]).cloned().collect()),
        _ => None,
    }
}
