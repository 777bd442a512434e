//! Two changed sets of files become one: file by file, three ways.

use std::collections::{BTreeMap, BTreeSet};

/// Texts by path.
pub type Texts<'a> = BTreeMap<String, &'a str>;

/// What became of two changes of one set of files.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged<'a> {
    pub texts: Texts<'a>,
    /// Files that both changed, each in its own way. Here they are as in `ours`.
    pub conflicts: Vec<String>,
}

/// Files as `base` was changed by `ours` and by `theirs`: what only one of them changed, made or took away is as that one
/// has it. Of files that both changed it is `theirs` where they are `preferred`.
pub fn merge<'a>(base: &Texts<'_>, ours: &Texts<'a>, theirs: &Texts<'a>, preferred: &BTreeSet<String>) -> Merged<'a> {
    let paths: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let (mut texts, mut conflicts) = (Texts::new(), Vec::new());
    for path in paths {
        let (base, ours, theirs) = (base.get(path).copied(), ours.get(path).copied(), theirs.get(path).copied());
        let text = if ours == theirs || theirs == base {
            ours
        } else if ours == base || preferred.contains(path) {
            theirs
        } else {
            conflicts.push(path.clone());
            ours
        };
        if let Some(text) = text {
            texts.insert(path.clone(), text);
        }
    }
    Merged { texts, conflicts }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(files: &[(&str, &'static str)]) -> Texts<'static> {
        files.iter().map(|(path, text)| ((*path).to_owned(), *text)).collect()
    }

    fn preferred(paths: &[&str]) -> BTreeSet<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn what_one_side_changed_stands_and_what_both_changed_is_a_conflict() {
        // Each: base, ours, theirs, what it becomes, whether it is a conflict; `-` is no file.
        let cases = [
            ("a", "a", "a", "a", false),
            ("a", "b", "a", "b", false),
            ("a", "a", "b", "b", false),
            ("a", "b", "b", "b", false),
            ("a", "b", "c", "b", true),
            ("-", "b", "-", "b", false),
            ("-", "-", "c", "c", false),
            ("-", "b", "b", "b", false),
            ("-", "b", "c", "b", true),
            ("a", "-", "a", "-", false),
            ("a", "a", "-", "-", false),
            ("a", "-", "-", "-", false),
            ("a", "-", "c", "-", true),
            ("a", "b", "-", "b", true),
        ];
        for (base, ours, theirs, becomes, conflict) in cases {
            let side = |text: &'static str| if text == "-" { texts(&[]) } else { texts(&[("f", text)]) };
            let merged = merge(&side(base), &side(ours), &side(theirs), &preferred(&[]));
            assert_eq!(merged.texts, side(becomes), "{base} {ours} {theirs}");
            assert_eq!(merged.conflicts, if conflict { vec!["f"] } else { vec![] }, "{base} {ours} {theirs}");
            let merged = merge(&side(base), &side(ours), &side(theirs), &preferred(&["f"]));
            assert_eq!(merged.texts, side(if conflict { theirs } else { becomes }), "{base} {ours} {theirs}");
            assert!(merged.conflicts.is_empty());
        }
    }

    fn files() -> impl Strategy<Value = Texts<'static>> {
        prop::collection::btree_map("[a-d]", prop::sample::select(vec!["1", "2", "3"]), 0..4)
    }

    proptest! {
        #[test]
        fn nothing_is_lost(base in files(), ours in files(), theirs in files()) {
            let merged = merge(&base, &ours, &theirs, &preferred(&[]));
            for path in ["a", "b", "c", "d"] {
                let [base, ours, theirs, now] = [&base, &ours, &theirs, &merged.texts].map(|side| side.get(path));
                let conflict = merged.conflicts.iter().any(|name| name == path);
                prop_assert!(ours == base || now == ours || conflict, "our change of {path}");
                prop_assert!(theirs == base || now == theirs || conflict, "their change of {path}");
                prop_assert!(now == ours || now == theirs, "{path} is nobody's");
            }
            // The same whoever is asked first, but for what is in dispute.
            let turned = merge(&base, &theirs, &ours, &preferred(&[]));
            prop_assert_eq!(&merged.conflicts, &turned.conflicts);
            if merged.conflicts.is_empty() {
                prop_assert_eq!(merged.texts, turned.texts);
            }
        }
    }
}
