//! Values as Python reads them, because PyTorch leaves their reading to `str.strip`, `int` and a list of words.

/// `str.strip`: white space in Unicode's sense and the four separators that Python adds to it.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

/// `int`: white space around, a sign, single underscores between digits. Numbers beyond `i128` come out as its ends,
/// so that every check of a range still says the right thing. Digits are ASCII; Python takes those of all scripts.
pub(super) fn integer(text: &str) -> Option<i128> {
    let text = strip(text);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut number = 0_i128;
    for group in digits.split('_') {
        if group.is_empty() {
            return None;
        }
        for character in group.chars() {
            let digit = i128::from(character.to_digit(10)?);
            number = number.saturating_mul(10).saturating_add(digit);
        }
    }
    Some(if negative { -number } else { number })
}

/// The words PyTorch takes for true and false, in any case, with nothing around them.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" => Some(true),
        "0" | "false" | "f" | "no" | "n" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{boolean, integer, strip};

    #[test]
    fn strips_what_python_strips() {
        for (text, stripped) in [
            ("", ""),
            ("  ", ""),
            (" a b ", "a b"),
            ("\t\n\x0b\x0c\r\x1c\x1fa\u{a0}\u{2003}\u{3000}", "a"),
            ("\0", "\0"),
        ] {
            assert_eq!(strip(text), stripped, "{text:?}");
        }
    }

    #[test]
    fn reads_integers_as_python_does() {
        for (text, number) in [
            ("60", Some(60)),
            (" 7 ", Some(7)),
            ("\n7\t", Some(7)),
            ("+7", Some(7)),
            ("-10", Some(-10)),
            ("-0", Some(0)),
            ("007", Some(7)),
            ("1_000", Some(1000)),
            ("1_0_0", Some(100)),
            ("", None),
            (" ", None),
            ("+", None),
            ("-", None),
            ("--1", None),
            ("+-1", None),
            ("- 1", None),
            ("_1", None),
            ("1_", None),
            ("1__0", None),
            ("-_1", None),
            ("1 0", None),
            ("1.9", None),
            ("1e3", None),
            ("0x10", None),
            ("ten", None),
            ("1\0", None),
        ] {
            assert_eq!(integer(text), number, "{text:?}");
        }
    }

    #[test]
    fn absurd_integers_keep_their_side() {
        let digits = "9".repeat(10_000);
        assert_eq!(integer(&digits), Some(i128::MAX));
        assert_eq!(integer(&format!("-{digits}")), Some(-i128::MAX));
    }

    #[test]
    fn reads_booleans_as_pytorch_does() {
        for (text, value) in [
            ("1", Some(true)),
            ("TRUE", Some(true)),
            ("t", Some(true)),
            ("Yes", Some(true)),
            ("y", Some(true)),
            ("0", Some(false)),
            ("False", Some(false)),
            ("F", Some(false)),
            ("nO", Some(false)),
            ("n", Some(false)),
            ("", None),
            (" true", None),
            ("on", None),
            ("2", None),
        ] {
            assert_eq!(boolean(text), value, "{text:?}");
        }
    }
}
