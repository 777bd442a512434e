//! Languages (BCP 47), written in one way however they come: what a member speaks is found in the names of templates.

/// Two letters for those that some programs write with three, or wrote differently once.
const SHORT: &[(&str, &str)] = &[
    ("fas", "fa"),
    ("per", "fa"),
    ("pes", "fa"),
    ("eng", "en"),
    ("ara", "ar"),
    ("aze", "az"),
    ("chi", "zh"),
    ("zho", "zh"),
    ("deu", "de"),
    ("ger", "de"),
    ("dut", "nl"),
    ("nld", "nl"),
    ("fra", "fr"),
    ("fre", "fr"),
    ("heb", "he"),
    ("iw", "he"),
    ("hin", "hi"),
    ("ind", "id"),
    ("in", "id"),
    ("ita", "it"),
    ("jpn", "ja"),
    ("kor", "ko"),
    ("kur", "ku"),
    ("pol", "pl"),
    ("por", "pt"),
    ("rus", "ru"),
    ("spa", "es"),
    ("tur", "tr"),
    ("urd", "ur"),
];

/// Reads a language tag: `FA` is `fa`, `fa_IR.UTF-8` is `fa-IR`, `zh_hant_tw` is `zh-Hant-TW`.
pub fn parse(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is not a language; write it like fa, en or pt-BR");
    let tag = text.trim().split(['.', '@']).next().unwrap_or_default().to_ascii_lowercase();
    let mut parts = tag.split(['-', '_']);
    let language = parts.next().unwrap_or_default();
    if !(2..=3).contains(&language.len()) || !language.bytes().all(|b| b.is_ascii_lowercase()) {
        return Err(wrong());
    }
    let mut out = SHORT.iter().find(|(long, _)| *long == language).map_or(language, |(_, short)| short).to_owned();
    for part in parts {
        if !(2..=8).contains(&part.len()) || !part.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(wrong());
        }
        out.push('-');
        match part.len() {
            2 => out.push_str(&part.to_ascii_uppercase()),
            4 if part.bytes().all(|b| b.is_ascii_lowercase()) => {
                out.push_str(&part[..1].to_ascii_uppercase());
                out.push_str(&part[1..]);
            }
            _ => out.push_str(part),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_written_in_one_way() {
        for (text, expected) in [
            ("fa", "fa"),
            ("FA", "fa"),
            ("fa_IR", "fa-IR"),
            ("EN-gb", "en-GB"),
            ("pt-br", "pt-BR"),
            ("zh_hant_tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("de-1996", "de-1996"),
            ("fa_IR.UTF-8", "fa-IR"),
            ("fas", "fa"),
            ("iw-il", "he-IL"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "f", "farsi", "Persian", "12", "fa-", "fa-I", "fa IR", "فا"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
