//! Chinese characters with several forms, and characters that users confuse.
//!
//! Two relations. Forms (traditional and simplified, older and Japanese ones) are equivalent:
//! 黃 is 黄. Look-alikes are not transitive: 干 looks like 千 and is a form of 乾, but 乾 does not
//! look like 千.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A form and its representative, where the crate's table lacks it or has another one. Sorted.
///
/// A character that maps to itself stays separate: the crate maps it to a different character.
const FORMS: &[(char, char)] = &[
    ('倂', '并'),
    ('儁', '俊'),
    ('兎', '兔'),
    ('兪', '俞'),
    ('冑', '胄'),
    ('凈', '净'),
    ('卽', '即'),
    ('呵', '呵'),
    ('囯', '国'),
    ('圀', '国'),
    ('変', '变'),
    ('姫', '姬'),
    ('実', '实'),
    ('対', '对'),
    ('峯', '峰'),
    ('嵜', '崎'),
    ('嶋', '岛'),
    ('嶌', '岛'),
    ('嶠', '峤'),
    ('巻', '卷'),
    ('帰', '归'),
    ('広', '广'),
    ('彔', '录'),
    ('徳', '德'),
    ('恵', '惠'),
    ('悪', '恶'),
    ('慼', '戚'),
    ('敎', '教'),
    ('斉', '齐'),
    ('斎', '斋'),
    ('旣', '既'),
    ('曏', '向'),
    ('査', '查'),
    ('栄', '荣'),
    ('桜', '樱'),
    ('棊', '棋'),
    ('楽', '乐'),
    ('歩', '步'),
    ('歳', '岁'),
    ('毎', '每'),
    ('気', '气'),
    ('氷', '冰'),
    ('沢', '泽'),
    ('浄', '净'),
    ('浜', '滨'),
    ('淸', '清'),
    ('渓', '溪'),
    ('満', '满'),
    ('滝', '泷'),
    ('瀋', '沈'),
    ('瀬', '濑'),
    ('焼', '烧'),
    ('玅', '妙'),
    ('珎', '珍'),
    ('琯', '琯'),
    ('発', '发'),
    ('眀', '明'),
    ('県', '县'),
    ('眞', '真'),
    ('矽', '矽'),
    ('竜', '龙'),
    ('緖', '绪'),
    ('縁', '缘'),
    ('羣', '群'),
    ('聡', '聪'),
    ('舎', '舍'),
    ('蔵', '藏'),
    ('覚', '觉'),
    ('観', '观'),
    ('読', '读'),
    ('豊', '丰'),
    ('辺', '边'),
    ('邉', '边'),
    ('郞', '郎'),
    ('郷', '乡'),
    ('銭', '钱'),
    ('険', '险'),
    ('靑', '青'),
    ('頼', '赖'),
    ('駅', '驿'),
    ('髙', '高'),
    ('鶏', '鸡'),
    ('黙', '默'),
    ('﨑', '崎'),
    ('𠮷', '吉'),
];

/// Rows of characters that users confuse at the size of a terminal's cell.
///
/// They differ in one stroke more, a longer stroke, or a stroke in another place. Characters that
/// differ in their radical only (清 and 情) are no look-alikes: users distinguish names by
/// radicals.
const LOOK_ALIKES: &[&str] = &[
    "己已巳",
    "大太犬",
    "王玊玉",
    "王壬",
    "人入八",
    "未末",
    "木朩本",
    "土士",
    "日曰",
    "千干于",
    "天夭",
    "失矢",
    "刀刁",
    "刀力",
    "戊戌戍",
    "戎戒",
    "弋戈",
    "田由甲申",
    "免兔",
    "折拆",
    "析柝",
    "今令",
    "史吏",
    "东车",
    "柬束",
    "束朿",
    "刺剌",
    "牛午",
    "又叉",
    "九丸",
    "九尢",
    "几凡",
    "广厂",
    "乌鸟",
    "烏鳥",
    "母毋毌",
    "侯候",
    "住往",
    "冶治",
    "洒酒",
    "徒徙",
    "乒乓",
    "兵乒",
    "仑仓",
    "沦沧",
    "夬央",
    "予矛",
    "子孑孓",
    "氏氐",
    "斤斥",
    "爪瓜",
    "汨汩",
    "沐沭",
    "冷泠",
    "冽洌",
    "晴睛",
    "崇祟",
    "茶荼",
    "藉籍",
    "竟竞",
    "秃秀",
    "肓盲",
    "亨享",
    "壶壸",
    "哀衰衷",
    "粟栗",
    "幻幼",
    "幸辛",
    "旦且",
    "丐丏",
    "卯卵",
    "卬卯",
    "祎袆",
    "祼裸",
    "雎睢",
    "钩钓",
    "嬴赢羸",
    "辨辩辫",
    "斑班",
    "撤撒",
    "徽微",
    "遂逐",
    "勿匆",
    "因囚困",
    "晳皙",
    "淮准",
    "浙淅",
    "炙灸",
    "孟盂",
    "胃胄",
    "荀苟",
    "贷货",
    "酉西",
    "颍颖",
    "无旡",
    "冢家",
    "杲杳",
    "白自",
    "裏裹",
    "郎朗",
];

/// First of the characters that represent the rows of look-alikes. No name has characters of this
/// plane.
const FIRST_ROW: u32 = 0xF_0000;

/// Whether this is a Chinese character (Unified_Ideograph, as blocks).
pub fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{fa0e}'..='\u{fa29}' | '\u{20000}'..='\u{323af}')
}

/// Returns the representative of all forms of a character; other characters represent themselves.
pub(super) fn form(c: char) -> char {
    if !is_han(c) {
        return c;
    }
    match FORMS.binary_search_by_key(&c, |form| form.0) {
        Ok(at) => FORMS[at].1,
        Err(_) => fast2s::convert(c.encode_utf8(&mut [0; 4])).chars().next().unwrap_or(c),
    }
}

/// Returns a character for each row of look-alikes that contains `c`.
///
/// Two characters look alike if they share one.
pub(super) fn rows_of(c: char) -> &'static [char] {
    static ROWS: OnceLock<BTreeMap<char, Vec<char>>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| {
        let mut rows = BTreeMap::<char, Vec<char>>::new();
        for (row, number) in LOOK_ALIKES.iter().zip(FIRST_ROW..) {
            for c in row.chars() {
                rows.entry(c).or_default().extend(char::from_u32(number));
            }
        }
        rows
    });
    rows.get(&c).map_or(&[], Vec::as_slice)
}

/// Returns the first character of the row that [`rows_of`] represents by `row`.
pub(super) fn first_of_row(row: char) -> Option<char> {
    let number = u32::from(row).checked_sub(FIRST_ROW)? as usize;
    LOOK_ALIKES.get(number)?.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_sorted_and_differ_from_crate() {
        assert!(FORMS.is_sorted_by(|one, other| one.0 < other.0));
        for (one, other) in FORMS {
            let of_crate = fast2s::convert(&one.to_string());
            assert!(is_han(*one) && of_crate != other.to_string(), "{one}");
            assert_eq!(form(*other), *other, "{one}");
        }
    }

    #[test]
    fn rows_hold_distinct_chinese_characters() {
        assert!((60..=100).contains(&LOOK_ALIKES.len()));
        for row in LOOK_ALIKES {
            let mut characters: Vec<char> = row.chars().collect();
            let count = characters.len();
            characters.sort_unstable();
            characters.dedup();
            assert!(count > 1 && characters.len() == count && row.chars().all(is_han), "{row}");
        }
        assert_eq!(first_of_row(rows_of('太')[0]), Some('大'));
    }
}
