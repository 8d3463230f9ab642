//! The text of a rule as tokens: what can be said of it before it is parsed, and where words stand.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::diagnosis::{Refusal, refuse};
use crate::suggest;

/// Words that a query may have. Planning takes time, and stack, that grow with them.
const WORDS_MAX: usize = 2_000;

/// Words that a query may begin with.
const BEGINNINGS: [&str; 4] = ["SELECT", "WITH", "FROM", "VALUES"];

/// Line and column, from 1.
pub(super) type Place = (u64, u64);

/// Refuses what is no single query of bearable length.
///
/// # Errors
/// With the place of the first word that does not belong.
pub(super) fn check(sql: &str) -> Result<(), Refusal> {
    // What cannot be cut into tokens is the parser's to explain.
    let Some(words) = words(sql) else { return Ok(()) };
    let mut rest = words.iter().filter(|word| word.token != Token::LParen);
    let first = rest.find(|word| word.token != Token::SemiColon);
    let Some(first) = first else {
        return Err(refuse("the file holds no query")
            .hint("Write SELECT ... FROM events after the front matter."));
    };
    if !BEGINNINGS.iter().any(|beginning| is_word(&first.token, beginning)) {
        return Err(no_query(first));
    }
    let end = words.iter().position(|word| word.token == Token::SemiColon);
    let mut after = words.iter().skip(end.unwrap_or(words.len()));
    if let Some(second) = after.find(|word| word.token != Token::SemiColon) {
        return Err(refuse("the file holds more than one statement")
            .hint("Give each query a file of its own.")
            .span(place(second)));
    }
    match words.get(WORDS_MAX) {
        Some(last) => Err(refuse(format!("the query has more than {WORDS_MAX} words"))
            .hint("Put a long list into a reference table: WHERE ip IN (SELECT ip FROM offices).")
            .span(place(last))),
        None => Ok(()),
    }
}

fn no_query(first: &TokenWithSpan) -> Refusal {
    let text = first.token.to_string();
    let refusal = refuse(format!("`{text}` begins no query"))
        .detail("A rule reads events; it changes nothing.")
        .span(place(first));
    match suggest(&text.to_uppercase(), ["SELECT", "WITH"]) {
        Some(near) => refusal.hint(format!("Did you mean `{near}`?")),
        None => refusal.hint("Begin with SELECT or WITH."),
    }
}

/// The first of `texts` that stands in the SQL as a word or within a string; of several places the one
/// within the fewest parentheses.
pub(super) fn find(sql: &str, texts: &[String]) -> Option<Place> {
    let words = words(sql)?;
    let mut depth = 0usize;
    let mut depths = Vec::with_capacity(words.len());
    for word in &words {
        match word.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depths.push(depth);
    }
    texts.iter().find_map(|text| {
        let all = words.iter().zip(&depths).filter(|(word, _)| names(&word.token, text));
        all.min_by_key(|(_, depth)| **depth).map(|(word, _)| place(word))
    })
}

/// Where the last word stands.
pub(super) fn last(sql: &str) -> Option<Place> {
    words(sql)?.last().map(place)
}

/// The windows that the query names: `name AS (`.
pub(super) fn named_windows(sql: &str) -> Vec<String> {
    let words = words(sql).unwrap_or_default();
    let named = words.windows(3).filter_map(|three| match three {
        [name, r#as, bracket] if is_word(&r#as.token, "AS") && bracket.token == Token::LParen => {
            Some(name.token.to_string())
        }
        _ => None,
    });
    named.collect()
}

/// All tokens but spaces and comments.
fn words(sql: &str) -> Option<Vec<TokenWithSpan>> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let words = tokens
        .into_iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    Some(words.collect())
}

fn names(token: &Token, text: &str) -> bool {
    match token {
        Token::SingleQuotedString(own) => own == text,
        other => is_word(other, text),
    }
}

fn is_word(token: &Token, text: &str) -> bool {
    matches!(token, Token::Word(own) if own.value.eq_ignore_ascii_case(text))
}

fn place(word: &TokenWithSpan) -> Place {
    (word.span.start.line, word.span.start.column)
}
