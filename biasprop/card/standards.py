"""Fields of a card, and the items of reporting standards that ask for the same.

Names of CHAI are those of the XML schema of its Applied Model Card, v0.2. Items of TRIPOD+AI and of the EU AI Act are
named where their numbers are known; other standards by their parts.
"""

from __future__ import annotations

from typing import NamedTuple


class Item(NamedTuple):
    """What standards call a field; empty where they have none."""

    chai: str
    tripod: str = ""
    standing: str = ""
    law: str = ""
    """EU AI Act (articles), and guidance of the FDA."""


DOCUMENTATION, USE = "dataset documentation (part 1)", "dataset use (part 2)"

STANDARDS: dict[str, Item] = {
    "model.model_name": Item("ModelName"),
    "model.model_developer": Item("ModelDeveloper"),
    "model.release_version": Item("ReleaseVersion"),
    "model.release_date": Item("ReleaseDate"),
    "model.model_type": Item("ModelType"),
    "model.modality": Item("OutputAndInputDataTypes"),
    "model.outcomes_and_outputs": Item("OutcomesAndOutputs"),
    "scope.intended_use_and_workflow": Item("IntendedUseAndWorkflow", law="EU Art. 13(3)(b)(i)"),
    "scope.primary_intended_users": Item("PrimaryIntendedUsers"),
    "scope.targeted_patient_population": Item("TargetedPatientPopulation", law="EU Art. 13(3)(b)(v)"),
    "scope.cautioned_out_of_scope_settings": Item("CautionedOutOfScopeSettings", law="EU Art. 13(3)(b)(iii)"),
    "scope.known_risks_and_limitations": Item("KnownRisksAndLimitations", "26", law="EU Art. 13(3)(b)(iii)"),
    "scope.known_biases_or_ethical_considerations": Item("KnownBiasesOrEthicalConsiderations", "3c"),
    "pretraining.foundation_models": Item("FoundationModels"),
    "pretraining.input_data_source": Item("InputDataSource", "5a", DOCUMENTATION, "EU Art. 10(2), 13(3)(b)(vi)"),
    "pretraining.development_data_characterization": Item(
        "DevelopmentDataCharacterization", "5a, 20b", DOCUMENTATION, "EU Art. 10(3), 13(3)(b)(vi)"
    ),
    "pretraining.people": Item("", "21"),
    "pretraining.shares": Item("DevelopmentDataCharacterization", "20b", DOCUMENTATION, "EU Art. 10(3)"),
    "finetuning.input_data_source": Item("InputDataSource", "5a", DOCUMENTATION, "EU Art. 10(2), 13(3)(b)(vi)"),
    "finetuning.development_data_characterization": Item(
        "DevelopmentDataCharacterization", "5a, 20b", DOCUMENTATION, "EU Art. 10(3), 13(3)(b)(vi)"
    ),
    "finetuning.people": Item("", "21"),
    "finetuning.labels": Item("", "21"),
    "finetuning.shares": Item("DevelopmentDataCharacterization", "20b", DOCUMENTATION, "EU Art. 10(3)"),
    "validation.metric_goal": Item("KeyMetrics.FairnessEquity.MetricGoal", "14"),
    "validation.results": Item("KeyMetrics.FairnessEquity.Results", "23a", USE, "EU Art. 13(3)(b)(v); FDA: subgroups"),
    "validation.interpretation": Item("KeyMetrics.FairnessEquity.Interpretation", "25"),
    "validation.test_type": Item("KeyMetrics.FairnessEquity.TestType"),
    "validation.testing_data_description": Item("KeyMetrics.FairnessEquity.TestingDataDescription", "5a, 20b", USE),
    "validation.validation_process_and_justification": Item(
        "KeyMetrics.FairnessEquity.ValidationProcessAndJustification", "14"
    ),
    "validation.bias_mitigation_approaches": Item("BiasMitigationApproaches", "14"),
    "labels.labels_needed": Item(""),
    "measured.case_mix": Item("KeyMetrics.FairnessEquity.TestingDataDescription", "20b", USE),
    "measured.measures_by_group": Item(
        "KeyMetrics.FairnessEquity.Results", "23a", USE, "EU Art. 13(3)(b)(v); FDA: subgroups"
    ),
    "measured.gaps": Item("KeyMetrics.FairnessEquity.Interpretation", "23a, 25", USE),
    "measured.label_curve": Item(""),
}
"""Field of a card (of ``facts.toml``, or measured) -> what standards call it."""

NOTES = (
    "CHAI: names of the XML schema of the Applied Model Card, v0.2. TRIPOD+AI (2024): numbers of items. STANDING "
    "Together (2024): parts of the recommendations. EU AI Act: articles of Regulation (EU) 2024/1689. FDA: draft "
    "guidance of January 2025 on device software functions with AI. No standard has a field for the labels that a "
    "model needs where it is adopted.",
    "The card reports; it certifies no conformity with any of them.",
)
