//! Files of mail: one mail, or several in mbox form (RFC 4155).

/// The mails of a file. Only a file that begins with a `From ` line is divided; of other files, and
/// of a single mail with such a line, the whole is one mail.
pub fn mails(file: &[u8]) -> Vec<&[u8]> {
    if !file.starts_with(b"From ") {
        return vec![file];
    }
    let mut starts = vec![0];
    let mut from = 0;
    while let Some(found) = find(&file[from..], b"\nFrom ") {
        let at = from + found + 1;
        from = at;
        // A sentence that begins with "From" is no separator: a blank line is before it, and it has the
        // form of one, or a header after it.
        let is_after_blank = file[..at].ends_with(b"\n\n") || file[..at].ends_with(b"\r\n\r\n");
        let rest = &file[at..];
        let line = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |end| end + 1);
        if is_after_blank && (is_separator(&rest[..line]) || is_header(&rest[line..])) {
            starts.push(at);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    starts.iter().zip(ends).map(|(start, end)| &file[*start..end]).collect()
}

/// Whether a line is `From sender Mon Jan  1 00:00:00 2001`; some writers add a zone.
fn is_separator(line: &[u8]) -> bool {
    const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).skip(2);
    words.next().is_some_and(|word| DAYS.contains(&word)) && words.any(|word| word.contains(&b':'))
}

/// Whether a text begins with a header field.
fn is_header(text: &[u8]) -> bool {
    let name = text.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'-')).unwrap_or(0);
    name > 0 && text.get(name) == Some(&b':')
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_mail_or_a_row_of_them() {
        let check = |file: &str, expected: usize| assert_eq!(mails(file.as_bytes()).len(), expected, "{file}");
        check("Subject: a\n\ntext\n\nFrom here on\n", 1);
        check("From a Mon\nSubject: a\n\ntext\n", 1);
        check("From a Mon\nSubject: a\n\ntext\n\nFrom here on it is text\nand goes on\n", 1);
        check("From a Mon\nSubject: a\n\ntext\n\nFrom b Tue\nSubject: b\n\ntext\n", 2);
        check("From a Mon\r\nSubject: a\r\n\r\ntext\r\n\r\nFrom b Tue\r\nReceived: b\r\n\r\ntext\r\n", 2);
        // Blank lines before the headers, as reading a mail allows them.
        check("From a Mon\nSubject: a\n\ntext\n\nFrom b Tue Sep  1 09:00:00 2026\n \n\nSubject: b\n\ntext\n", 2);
        check("From a Mon\nSubject: a\n\ntext\n\nFrom noon to Tue it is\n\nSubject: what\n", 1);
        check("", 1);
    }
}
