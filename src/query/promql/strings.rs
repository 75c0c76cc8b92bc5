//! String literals: what their escapes mean.

/// The content of a quoted literal, whose end and escape letters the lexer has checked. Escapes can make bytes that are
/// not UTF-8.
///
/// # Errors
/// An escape has too few digits or is no character.
pub(super) fn unquote(literal: &str) -> Result<Vec<u8>, &'static str> {
    const INVALID: &str = "invalid syntax";
    let quote = literal.chars().next().ok_or(INVALID)?;
    let body = literal.get(1..literal.len() - 1).ok_or(INVALID)?;
    if quote == '`' {
        return Ok(body.as_bytes().to_vec());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest[at + 1..].chars().next().ok_or(INVALID)?;
        rest = &rest[at + 2..]; // every escape letter is one byte
        let digits = |from: &mut &str, count: usize, radix: u32| {
            let number = from.get(..count).and_then(|text| u32::from_str_radix(text, radix).ok());
            *from = from.get(count..).unwrap_or("");
            number.ok_or(INVALID)
        };
        match escape {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(11),
            '\\' | '"' | '\'' => out.push(escape as u8),
            'x' => out.push(u8::try_from(digits(&mut rest, 2, 16)?).map_err(|_| INVALID)?),
            '0'..='7' => {
                rest = &body[body.len() - rest.len() - 1..];
                out.push(u8::try_from(digits(&mut rest, 3, 8)?).map_err(|_| INVALID)?);
            }
            _ => {
                let number = digits(&mut rest, if escape == 'u' { 4 } else { 8 }, 16)?;
                let c = char::from_u32(number).ok_or(INVALID)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}
