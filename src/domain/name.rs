//! Names that the team gives: of campaigns, steps, occasions, pools.

/// Reads a name.
pub fn parse(text: &str) -> Result<String, String> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if text.is_empty() || text.len() > 64 || !text.chars().all(valid) {
        return Err(format!("`{text}` cannot be a name; use 1 to 64 of a-z, 0-9, - and _, such as birthday-gift"));
    }
    Ok(text.to_owned())
}
