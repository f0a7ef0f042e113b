//! Equivalence classes of characters, so that look-alike texts share one class in an index.
//!
//! Derived from the looks of all characters: every look of a character belongs to the class of that
//! character. A test computes the table and prints it if it differs, for example after an update of
//! Unicode or of the Chinese look-alikes.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A class, and the characters of it that differ from the class itself.
const CLASSES: &[(&str, &str)] = &[
    ("$", "ֆ"),
    ("2", "ƨჷⴧꝛ"),
    ("3", "jȝɜʓʝვჳᴊ𑣊"),
    ("4", "𑣏"),
    ("5", "fsϝϼտքⴝꜰꮥ𑣁𑣛"),
    ("55", "6bcoƀƅƈȼʃʙδσϛвѣծთᏸᛜẟ∇ⲇⲋ"),
    ("7", "ertuyɛɣɽʀʈʉʋγтџҽყᴇᴛỿⱦ丫ꓤꜫꞓꭹꮍꮏ𐓜𐓺"),
    ("7h", "mɱʍμϻ"),
    ("9", "𑣖"),
    ("?", "ɂ"),
    ("a", "ɑᴀ"),
    ("d", "ԁᴅ∂ꮷ"),
    ("g", "ɡɢց"),
    ("h", "nvŋƞɦɴʜћհղոቡᏺⱨⴙꚕꮒ𐓵"),
    ("i", "lƚɫʟւꙇꞁ𐳥𑣒𖻅"),
    ("i55", "ю"),
    ("ii", "ỻ"),
    ("k", "ĸⱪꝁ"),
    ("p", "þƿᴘᵽ𐓬"),
    ("q", "գզꞯ"),
    ("w", "ɯшѡաꝡꮗ"),
    ("x", "χҳ"),
    ("z", "ζ𑣉"),
    ("ƕ", "ԋ"),
    ("ǝ", "ə"),
    ("ɒ", "𐑇"),
    ("ɞ", "𐑂"),
    ("ɰ", "ጣ"),
    ("ɷ", "𐐿"),
    ("ɸ", "φփ"),
    ("ʇ", "ꓕ"),
    ("ʌ", "λл𐓛"),
    ("ʘ", "ꙩ"),
    ("ʚ", "ꞝ𐐪"),
    ("ˉ55", "ъ"),
    ("ͱ", "ⱶꭸ"),
    ("ξ", "≡"),
    ("ω", "ꙍ"),
    ("и", "ᴎ"),
    ("я", "ᴙ"),
    ("ӄ", "𐓤"),
    ("ի", "ኮ"),
    ("մ", "ሆ"),
    ("ര", "ი"),
    ("ᛦ", "𐓸"),
    ("ⴀ", "ꞇ"),
    ("ホ", "木本"),
    ("㓕", "灭"),
    ("㓗", "洁"),
    ("㬵", "胶"),
    ("丏", "丐"),
    ("且", "旦"),
    ("东", "车"),
    ("丸", "九尢"),
    ("乌", "鸟"),
    ("乒", "乓兵"),
    ("予", "矛"),
    ("于", "千干𛄢"),
    ("亨", "享"),
    ("人", "入八"),
    ("今", "令"),
    ("仑", "仓"),
    ("仪", "𮯷"),
    ("住", "往"),
    ("侯", "候"),
    ("儿", "𖿳"),
    ("免", "兔"),
    ("冢", "家"),
    ("冯", "溤"),
    ("冶", "治"),
    ("冷", "泠"),
    ("冽", "洌"),
    ("准", "淮"),
    ("凔", "沦沧"),
    ("凙", "泽"),
    ("几", "凡"),
    ("刀", "刁力"),
    ("刺", "剌"),
    ("勿", "匆"),
    ("午", "牛"),
    ("卬", "卯卵"),
    ("厂", "广"),
    ("又", "叉"),
    ("史", "吏"),
    ("哀", "衰衷"),
    ("囚", "因困"),
    ("壬", "玉玊王"),
    ("壶", "壸"),
    ("大", "太犬"),
    ("天", "夭"),
    ("夬", "央"),
    ("失", "矢"),
    ("奖", "奨"),
    ("嬴", "羸赢"),
    ("子", "孑孓"),
    ("孟", "盂"),
    ("崇", "祟"),
    ("己", "已巳"),
    ("幸", "辛"),
    ("幻", "幼"),
    ("弋", "戈"),
    ("径", "𮱻"),
    ("徒", "徙"),
    ("微", "徽"),
    ("戊", "戌戍"),
    ("戎", "戒"),
    ("折", "拆"),
    ("揽", "𭣄"),
    ("撒", "撤"),
    ("斑", "班"),
    ("斤", "斥"),
    ("无", "旡"),
    ("晳", "皙"),
    ("晴", "睛"),
    ("朗", "郎"),
    ("朿", "束柬"),
    ("杲", "杳"),
    ("析", "柝"),
    ("栗", "粟"),
    ("毋", "毌母"),
    ("氏", "氐"),
    ("汨", "汩"),
    ("沐", "沭"),
    ("洒", "酒"),
    ("浙", "淅"),
    ("灸", "炙"),
    ("炼", "𮳣"),
    ("爪", "瓜"),
    ("田", "由甲申"),
    ("白", "自"),
    ("盲", "肓"),
    ("睢", "雎"),
    ("祎", "袆"),
    ("祼", "裸"),
    ("秀", "秃"),
    ("竞", "竟"),
    ("籍", "藉"),
    ("胃", "胄"),
    ("苟", "荀"),
    ("茶", "荼"),
    ("裹", "里"),
    ("西", "酉"),
    ("货", "贷"),
    ("辨", "辩辫"),
    ("逐", "遂"),
    ("鎭", "镇"),
    ("钓", "钩"),
    ("钗", "𮷶"),
    ("颍", "颖"),
    ("飮", "饮"),
    ("鹂", "鹃"),
    ("ꓶ", "𐐹"),
    ("ꚛ", "𐊨"),
];

/// Returns the class of a letter in one case and form; `None` if the class is the letter itself.
pub(super) fn class_of(letter: char) -> Option<&'static str> {
    static CLASS_OF: OnceLock<BTreeMap<char, &'static str>> = OnceLock::new();
    let of_row = |row: &(&'static str, &'static str)| {
        let class = row.0;
        row.1.chars().map(move |letter| (letter, class))
    };
    CLASS_OF.get_or_init(|| CLASSES.iter().flat_map(of_row).collect()).get(&letter).copied()
}

#[cfg(test)]
mod tests {
    use std::iter::once;

    use unicode_normalization::UnicodeNormalization;
    use unicode_normalization::char::is_combining_mark;

    use super::super::looks::{letters_of, looks_of};
    use super::*;

    /// Replacements of letters after which all looks of each character are the same text.
    #[derive(Default)]
    struct Replacements(BTreeMap<char, Vec<char>>);

    impl Replacements {
        fn apply(&self, text: &[char]) -> Vec<char> {
            let replaced = |c: &char| self.0.get(c).map_or_else(|| vec![*c], |other| self.apply(other));
            text.iter().flat_map(replaced).collect()
        }

        /// Adds replacements that make both texts equal. Returns `false` if that is impossible.
        fn unite(&mut self, one: &[char], other: &[char]) -> bool {
            let one = self.apply(one);
            let other = self.apply(other);
            if one.len() > 1 && one.len() == other.len() {
                return one.iter().zip(&other).all(|(one, other)| self.unite(&[*one], &[*other]));
            }
            let (letter, text) = match one.len() < other.len() || one.len() == other.len() && one > other {
                true => (one, other),
                false => (other, one),
            };
            match letter[..] {
                _ if letter == text => true,
                [letter] if !text.contains(&letter) => self.0.insert(letter, text).is_none(),
                _ => false,
            }
        }
    }

    #[test]
    fn all_looks_of_character_have_its_class() {
        let mut replacements = Replacements::default();
        for c in '\0'..'\u{20000}' {
            let is_in_names = c.is_alphanumeric() || is_combining_mark(c);
            if !is_in_names || once(c).nfkd().count() != 1 {
                continue;
            }
            let letters: Vec<Vec<char>> =
                looks_of(c).iter().map(|look| look.iter().flat_map(|c| letters_of(*c)).collect()).collect();
            for look in &letters[1..] {
                assert!(replacements.unite(&letters[0], look), "{c}: {letters:?}");
            }
        }
        let mut classes = BTreeMap::<String, String>::new();
        for letter in replacements.0.keys() {
            classes.entry(replacements.apply(&[*letter]).iter().collect()).or_default().push(*letter);
        }
        let table_rows: BTreeMap<String, String> =
            CLASSES.iter().map(|(class, letters)| (class.to_string(), letters.to_string())).collect();
        let table: String = classes.iter().map(|row| format!("    {row:?},\n")).collect();
        assert!(table_rows == classes, "the table is\n{table}");
    }
}
