"""How far an evaluation split may be from train: AnomalyGate's thresholds."""

# Measured by TFDV on FER2013, whose own splits must pass. Halving a class moves the labels'
# divergence from .00039 (PublicTest) or .00012 (PrivateTest) to at least .00098, that of disgust,
# which has 1.5 % of the faces; for other classes to .0056 and more. FER2013's largest difference
# of a share is .0137, sad. For large classes in small splits that is the sharper measure: a class
# halved in the sample's splits of 350 makes it .066, where .065 is allowed.
#
# Of the image statistics, FER2013's own divergence is at most .0002, and .19 in brightness after
# darkening by 40 levels; .01 is a shift by about 8 levels of brightness, 4 of contrast, 3 of
# sharpness. FER2013's mean contrast is 54 levels, that of constant images 0.
THRESHOLDS = {
    "emotion": {"jensen_shannon_divergence": 0.00093, "infinity_norm": 0.0225},
    "brightness_bucket": {"jensen_shannon_divergence": 0.01},
    "contrast_bucket": {"jensen_shannon_divergence": 0.01},
    "sharpness_bucket": {"jensen_shannon_divergence": 0.01},
    "contrast": {"min_mean": 10},
}
