"""What is read keeps the line on which it stands."""

import pytest
import yaml
from samcli.yamlhelper import yaml_dump, yaml_parse

from checks import repository

TEXT = """\
A:
  B: !Sub "${C}-x"  # why
  C: [1, {D: !GetAtt E.F.G}]
"""


def test_each_thing_has_its_line_and_what_is_missing_that_of_what_is_around_it() -> None:
    document = repository.Document(TEXT, "it.yaml")
    assert [document.line(*path) for path in [(), ("A",), ("A", "B"), ("A", "C", 1, "D"), ("A", "X", "Y")]] == [
        1,
        1,
        2,
        3,
        1,
    ]
    assert document.comments == {2: "why"}


def test_short_functions_are_read_in_their_long_form() -> None:
    document = repository.Document(TEXT, "it.yaml")
    assert document.data == {"A": {"B": {"Fn::Sub": "${C}-x"}, "C": [1, {"D": {"Fn::GetAtt": ["E", "F.G"]}}]}}


LOOPED = """\
Mappings:
  Names: {Ann: {Kebab: an-n}, Bob: {Kebab: bo-b}}
Resources:
  Fn::ForEach::People:
    - Who
    - [Ann, Bob]
    - ${Who}Alarm:
        Name: !Sub ["${AWS::StackName}-${Name}", {Name: !FindInMap [Names, !Ref Who, Kebab]}]
        About: !GetAtt [!Sub "${Who}", Arn]
        Same: !Ref AWS::Region
"""


def test_a_loop_is_read_as_what_it_makes_on_its_own_lines() -> None:
    document = repository.Document(LOOPED, "it.yaml")
    assert document.data["Resources"] == {
        f"{who}Alarm": {
            "Name": {"Fn::Sub": f"${{AWS::StackName}}-{kebab}"},
            "About": {"Fn::GetAtt": [who, "Arn"]},
            "Same": {"Ref": "AWS::Region"},
        }
        for who, kebab in (("Ann", "an-n"), ("Bob", "bo-b"))
    }
    assert document.line("Resources", "BobAlarm", "Name") == 8
    assert document.repeated == []


def test_a_loop_in_the_long_form_is_read_as_the_same() -> None:
    long = yaml_dump(yaml_parse(LOOPED))  # as sam deploy writes it
    assert "!" not in long
    expanded = repository.Document(LOOPED, "it.yaml").data["Resources"]
    assert repository.Document(long, "it.yaml").data["Resources"] == expanded


def test_a_key_that_is_given_twice_is_told() -> None:
    assert repository.Document('{"A": {"B": 1,\n"B": 2}}', "it.json").repeated == [("A", "B")]


def test_what_cannot_be_read_says_where() -> None:
    with pytest.raises(yaml.YAMLError, match="line 2"):
        repository.Document("A: [\nB: }", "it.yaml")
