//! A real experiment with known answers: Kevin Hillstrom's MineThatData e-mail analytics challenge (2008). 64,000
//! customers of a shop got a mail about men's things, one about women's, or none; what they spent in the two weeks
//! after is in dollars.
//!
//! The sums were computed once from the published file (`conversion`, `spend`), in cents: n is the number of
//! customers in the segment, Σx the sum of round(100 × spend), Σx² the sum of its squares, both exact whole numbers.
//! The figures were computed with 40 digits from these sums.

use super::{
    means::{DETECTABLE, Estimate, Means},
    sample_ratio::{Arm, SampleRatio},
    shares::{Share, Shares},
    sums::Sums,
};

const NONE: Sums = Sums { n: 21_306, sum: 1_390_833, squares: 28_700_503_621 };
const MENS: Sums = Sums { n: 21_307, sum: 3_031_169, squares: 67_590_244_973 };
const WOMENS: Sums = Sums { n: 21_387, sum: 2_303_811, squares: 49_114_465_763 };
const BUYERS: [Share; 3] = [
    Share { count: 122, members: NONE.n },
    Share { count: 267, members: MENS.n },
    Share { count: 189, members: WOMENS.n },
];

fn compare(arm: &Sums, against: &Sums) -> Means {
    Means::compare(arm, against, 100.0)
}

/// To ten significant digits.
fn near(found: f64, wanted: f64) {
    assert!((found / wanted - 1.0).abs() < 5e-10, "{found} is not {wanted}");
}

fn check(found: Estimate, [se, t, df, low, high, p]: [f64; 6]) {
    near(found.se, se);
    near(found.t, t);
    near(found.df, df);
    near(found.interval.low, low);
    near(found.interval.high, high);
    near(found.p, p);
}

#[test]
fn mens_mail_against_none() {
    let Means { difference, pooled, always_valid, smallest_detectable, welch } = compare(&MENS, &NONE);
    near(difference.unwrap(), 0.769_827_155_894_536_5);
    let low_high = [0.485_138_353_321_579_4, 1.054_515_958_467_494];
    check(
        pooled.unwrap(),
        [0.145_247_932_228_327_4, 5.300_090_294_465_472, 42_611.0, low_high[0], low_high[1], 1.163_200_872_605_866e-7],
    );
    near(always_valid.unwrap().low, 0.302_061_218_315_674_2);
    near(always_valid.unwrap().high, 1.237_593_093_473_399);
    near(smallest_detectable.unwrap(), 0.406_924_457_261_484_9);
    let low_high = [0.485_139_732_568_407_3, 1.054_514_579_220_666];
    check(
        welch.unwrap(),
        [
            0.145_246_560_248_686_7,
            5.300_140_358_411_668,
            36_671.157_977_360_51,
            low_high[0],
            low_high[1],
            1.163_814_968_225_493e-7,
        ],
    );
    let by_welch = super::always_valid::interval(difference.unwrap(), welch.unwrap().se, MENS.n + NONE.n).unwrap();
    near(by_welch.low, 0.302_065_636_728_611_9);
    near(by_welch.high, 1.237_588_675_060_461);
}

#[test]
fn womens_mail_against_none() {
    let Means { difference, pooled, always_valid, smallest_detectable, welch } = compare(&WOMENS, &NONE);
    near(difference.unwrap(), 0.424_412_215_936_596_5);
    let low_high = [0.168_831_368_812_531_9, 0.679_993_063_060_661_1];
    check(
        pooled.unwrap(),
        [0.130_397_090_445_709_5, 3.254_767_529_596_832, 42_691.0, low_high[0], low_high[1], 0.001_135_735_313_038_705],
    );
    near(always_valid.unwrap().low, 0.004_440_662_654_241_274);
    near(always_valid.unwrap().high, 0.844_383_769_218_951_8);
    near(smallest_detectable.unwrap(), 0.365_318_558_715_761_1);
    let low_high = [0.168_956_789_883_778_5, 0.679_867_641_989_414_5];
    check(
        welch.unwrap(),
        [
            0.130_332_858_529_191_2,
            3.256_371_576_025_391,
            40_064.884_406_530_66,
            low_high[0],
            low_high[1],
            0.001_129_397_102_363_254,
        ],
    );
    let by_welch = super::always_valid::interval(difference.unwrap(), welch.unwrap().se, WOMENS.n + NONE.n).unwrap();
    near(by_welch.low, 0.004_647_535_197_626_209);
    near(by_welch.high, 0.844_176_896_675_566_8);
}

#[test]
fn mens_mail_against_womens() {
    let Means { difference, pooled, always_valid, smallest_detectable, welch } = compare(&MENS, &WOMENS);
    near(difference.unwrap(), 0.345_414_939_957_94);
    let low_high = [0.032_655_169_960_111_16, 0.658_174_709_955_768_7];
    check(
        pooled.unwrap(),
        [0.159_569_719_336_104_7, 2.164_664_708_285_824, 42_692.0, low_high[0], low_high[1], 0.030_418_895_209_499_01],
    );
    near(always_valid.unwrap().low, -0.168_513_759_719_079_9);
    near(always_valid.unwrap().high, 0.859_343_639_634_959_8);
    near(smallest_detectable.unwrap(), 0.447_048_164_060_184_8);
    near(smallest_detectable.unwrap(), DETECTABLE * pooled.unwrap().se);
    let low_high = [0.032_561_449_626_095_17, 0.658_268_430_289_784_7];
    check(
        welch.unwrap(),
        [
            0.159_617_414_841_654_2,
            2.164_017_881_761_856,
            41_584.588_483_208_39,
            low_high[0],
            low_high[1],
            0.030_468_651_185_299_28,
        ],
    );
}

#[test]
fn the_shares_of_buyers() {
    let [none, mens, womens] = BUYERS;
    for (arm, against, [difference, low, high, p]) in [
        (
            mens,
            none,
            [
                0.006_805_006_519_615_695,
                0.005_014_344_671_481_533,
                0.008_640_723_396_917_827,
                1.523_223_500_595_551e-13,
            ],
        ),
        (
            womens,
            none,
            [
                0.003_111_057_511_085_257,
                0.001_501_657_131_877_008,
                0.004_745_471_313_672_929,
                0.000_157_105_129_106_685_4,
            ],
        ),
        (
            mens,
            womens,
            [
                0.003_693_949_008_530_437,
                0.001_746_284_814_190_173,
                0.005_662_614_423_391_56,
                0.000_205_153_774_656_883_7,
            ],
        ),
    ] {
        let found = Shares::compare(arm, against);
        near(found.difference.unwrap(), difference);
        near(found.interval.unwrap().low, low);
        near(found.interval.unwrap().high, high);
        near(found.p.unwrap(), p);
    }
}

#[test]
fn the_arms_have_the_sizes_that_they_were_to_have() {
    let arms = [NONE, MENS, WOMENS].map(|sums| Arm { members: sums.n, share: 1.0 / 3.0 });
    let found = SampleRatio::test(&arms).unwrap();
    near(found.chi_square, 0.202_531_25);
    near(found.p, 0.903_692_957_560_419_5);
    assert!(found.df == 2 && !found.is_alarm());
}
