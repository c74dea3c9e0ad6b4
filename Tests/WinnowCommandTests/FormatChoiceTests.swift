import Glibc
import Testing
import WinnowJSON
import WinnowTestKit

@Suite(.enabled(if: CommandRun.executable != nil, "the winnow executable is not beside the tests"))
struct FormatChoiceTests {
    private func convert(_ output: String, _ arguments: String...) throws -> CommandRun.Ending {
        try CommandRun.run(
            [
                "convert", "--model", TinyModel.gguf, "--output", output, "--to", "packed", "--format",
                "auto",
                "--threads", "1",
            ] + arguments)
    }

    @Test func measuresOnceAndFollowsThePlan() throws {
        try TemporaryFolder.with { folder in
            let plan = "\(folder)/here.json"
            let first = try convert("\(folder)/a", "--plan", plan, "--json").json()
            #expect(
                Set(first.object?.keys ?? []) == [
                    "path", "bytes", "bytesBefore", "plan", "choices", "measured",
                ])
            #expect(first["measured"] == true && first["plan"]?.string == plan)
            let second = try convert("\(folder)/b", "--plan", plan, "--json").json()
            #expect(second["measured"] == false && second["choices"] == first["choices"])
            #expect(
                TinyModel.contents("\(folder)/a/model.safetensors")
                    == TinyModel.contents("\(folder)/b/model.safetensors"))
            // Without --plan it is kept beside the output.
            let text = try convert("\(folder)/c", "--max-weight-error", "0")
            #expect(text.status == 0 && text.output.contains("measured here"), "\(text.errors)")
            #expect(text.errors.contains("The plan: \(folder)/c.plan.json"))
            #expect(access("\(folder)/c.plan.json", F_OK) == 0)
            let other = try CommandRun.run([
                "convert", "--model", TinyModel.folder, "--output", "\(folder)/d", "--to", "packed",
                "--format",
                "auto", "--plan", plan,
            ])
            #expect(other.status == 1 && other.errors.contains("a plan of another model"), "\(other.errors)")
            #expect(access("\(folder)/d", F_OK) != 0)
        }
    }

    @Test func aDryRunWritesNothing() throws {
        try TemporaryFolder.with { folder in
            let json = try convert("\(folder)/out", "--dry-run", "--json").json()
            #expect(json["plan"]?.array?.count == 15 && json["measured"] == true)
            #expect(access("\(folder)/out", F_OK) != 0 && access("\(folder)/out.plan.json", F_OK) != 0)
        }
    }

    @Test func itsOptionsNeedAuto() throws {
        let arguments = ["convert", "--model", TinyModel.gguf, "--output", "x", "--to", "packed"]
        for wrong in [
            ["--plan", "p"], ["--format", "int8", "--max-weight-error", "0.1"],
            ["--format", "auto", "--max-weight-error", "2"],
        ] {
            #expect(try CommandRun.run(arguments + wrong).status == 2)
        }
    }
}
